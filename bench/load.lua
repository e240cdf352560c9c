-- Sends the prepared requests in turn, and reports in one line of JSON.
--   ARGS: file of requests, number of the first one, `check` to count every status exactly (which costs time).
-- The file holds whole requests, each behind its length: `<bytes>\n<request>`.

local statuses = {}
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  requests = {}
  while true do
    local length = file:read("*l")
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
  at = tonumber(args[2]) % #requests
  counted = ""
  if args[3] == "check" then
    response = function(status)
      statuses[status] = (statuses[status] or 0) + 1
      local pairs_of = {}
      for known, count in pairs(statuses) do pairs_of[#pairs_of + 1] = string.format('"%d":%d', known, count) end
      counted = table.concat(pairs_of, ",")
    end
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n@{"requests":%d,"micros":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d,"statuses":{%s}}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), threads[1]:get("counted")))
end
