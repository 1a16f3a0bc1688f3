-- SPDX-License-Identifier: Apache-2.0
-- A streamed chat request: wrk -s bench/wrk/stream.lua http://127.0.0.1:8080 -- [model]
function init(args)
    wrk.method = "POST"
    wrk.path = "/v1/chat/completions"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"model":"' .. (args[1] or "openai/mock") .. '","stream":true,'
        .. '"messages":[{"role":"user","content":"Say hello."}]}'
end
