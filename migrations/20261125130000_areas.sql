-- A session is of one area, Nuvera's or the partners', from its beginning. Those from before are of none: they end.
DELETE FROM sessions;
