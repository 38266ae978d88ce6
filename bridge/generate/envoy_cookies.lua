function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get(":path"):find("[^!-~]") then
    handle:respond({[":status"] = "400"}, "The path holds what belongs escaped.\n")
    return
  end
  local count = headers:getNumValues("cookie")
  if count < 2 then return end
  local lines = {}
  for place = 1, count do
    lines[place] = headers:getAtIndex("cookie", place - 1)
  end
  headers:remove("cookie")
  headers:add("cookie", table.concat(lines, "; "))
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get("bridge-status")
  local forwarded = handle:streamInfo():dynamicMetadata():get("bridge")
  if status and not forwarded and status:match("^[2-5]%d%d$") then
    headers:remove("bridge-status")
    headers:replace(":status", status)
  end
end
