-- Asks Nuvera's gateway whether a request may pass: haproxy.cfg loads this file and calls the action `nuvera_verify`.

local gateway = "http://127.0.0.1:24501/haproxy"

-- Headers of one connection, and those that tell of the body, which is not shown.
local not_shown = {
  ["connection"] = true,
  ["content-length"] = true,
  ["expect"] = true,
  ["host"] = true,
  ["keep-alive"] = true,
  ["te"] = true,
  ["trailer"] = true,
  ["transfer-encoding"] = true,
  ["upgrade"] = true,
}

-- What a client is told of a refusal.
local passed_on = { "allow", "cache-control", "content-type", "retry-after", "www-authenticate", "x-request-id" }

-- What the service is told of the request.
local identity = {
  "x-nuvera-organization-id",
  "x-nuvera-application-id",
  "x-nuvera-key-id",
  "x-nuvera-body-verified",
  "x-nuvera-body-hash",
  "x-request-id",
}

local function refuse(txn, status, headers, body)
  local reply = txn:reply({ status = status })
  for name, value in pairs(headers) do
    reply:add_header(name, value)
  end
  reply:set_body(body)
  txn:done(reply)
end

core.register_action("nuvera_verify", { "http-req" }, function(txn)
  local shown = {}
  local sent = txn.http:req_get_headers()
  for name, values in pairs(sent) do
    if not not_shown[name] then
      shown[name] = {}
      for _, value in pairs(values) do
        table.insert(shown[name], value)
      end
    end
  end
  -- Each is set here, so that none can come from a client.
  shown["x-original-method"] = { txn.f:method() }
  shown["x-original-uri"] = { txn.f:pathq() }
  shown["x-original-address"] = { txn.f:src() }
  -- Of a body in chunks it is not known whether it is whole.
  if not sent["transfer-encoding"] and txn.f:req_body_len() == txn.f:req_body_size() then
    shown["x-original-body-sha256"] = { txn:get_var("txn.nuvera_body_sha256") }
  end

  local answer = core.httpclient():get({ url = gateway, headers = shown, timeout = 5000 })
  if not answer or answer.status < 200 or answer.status > 499 or not answer.headers["x-request-id"] then
    return refuse(txn, 503, {}, "The request could not be verified.\n")
  end
  if answer.status ~= 200 then
    local headers = {}
    for _, name in ipairs(passed_on) do
      if answer.headers[name] then
        headers[name] = answer.headers[name][0]
      end
    end
    return refuse(txn, answer.status, headers, answer.body or "")
  end
  for _, name in ipairs(identity) do
    txn.http:req_set_header(name, answer.headers[name][0])
  end
  -- The credentials end at the edge.
  txn.http:req_del_header("authorization")
  txn.http:req_del_header("x-api-key")
end)
