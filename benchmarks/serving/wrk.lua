-- Requests for wrk from a file, one a line: METHOD PATH [BODY]. The figures come as one line of JSON at the end.

local prepared = {}

function init(arguments)
  math.randomseed(7)
  for line in io.lines(arguments[1]) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    if body == "" then
      prepared[#prepared + 1] = wrk.format(method, path)
    else
      prepared[#prepared + 1] = wrk.format(method, path, { ["content-type"] = "application/json" }, body)
    end
  end
end

function request()
  return prepared[math.random(#prepared)]
end

function done(summary, latency, _)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format(
    '{"requests":%d,"seconds":%f,"failed":%d,"refused":%d,"p50":%f,"p99":%f,"p999":%f,"worst":%f}\n',
    summary.requests, summary.duration / 1e6, failed, summary.errors.status,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, latency.max / 1e3))
end
