-- SPDX-License-Identifier: Apache-2.0
-- A chat request: wrk -s bench/wrk/chat.lua http://127.0.0.1:8080 -- [model] [prompt bytes]
function init(args)
    local model = args[1] or "openai/mock"
    local bytes = tonumber(args[2] or "900")
    wrk.method = "POST"
    wrk.path = "/v1/chat/completions"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"model":"' .. model .. '","messages":[{"role":"user","content":"'
        .. string.rep("x", bytes) .. '"}]}'
end

function done(summary, latency, requests)
    io.write(string.format("requests %d errors %d p50 %.0f us p99 %.0f us\n", summary.requests,
        summary.errors.status + summary.errors.read + summary.errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
