-- For shared caches alone, and there they override Cache-Control.
local function shared(name)
  return name == "surrogate-control" or name == "edge-control" or name == "x-accel-expires"
    or name:match("cdn%-cache%-control$")
end

-- What tells shared caches what they may keep, or lets caches ignore `no-store`.
local dropped = {
  [""] = true, ["public"] = true, ["private"] = true, ["s-maxage"] = true, ["proxy-revalidate"] = true,
  ["must-understand"] = true,
}

-- Whatever is hard to read is kept nowhere.
local function private(value)
  if value:find('"', 1, true) then return "private, no-store" end
  local kept = {"private"}
  for part in value:gmatch("[^,]+") do
    local directive = part:match("^%s*(.-)%s*$")
    if not dropped[directive:match("^[^=%s]*"):lower()] then kept[#kept + 1] = directive end
  end
  return table.concat(kept, ", ")
end

-- Browsers differ in what they cut off in front of a cookie's name.
local function is_the_bridges(cookie)
  local name = cookie:lower():gsub("^[^0-9a-z_]+", "")
  name = name:gsub("^__host%-[^0-9a-z_]*", ""):gsub("^__secure%-[^0-9a-z_]*", "")
  return name:sub(1, 12) == "kombo-bridge"
end

local function values(headers, name)
  local found = {}
  for place = 1, headers:getNumValues(name) do
    found[place] = headers:getAtIndex(name, place - 1)
  end
  return found
end

-- Some servers leave a body of these unread and take it for the next request, identity headers and all.
local bodiless = {GET = true, HEAD = true, OPTIONS = true, DELETE = true}

local function has_body(handle)
  local headers = handle:headers()
  if not bodiless[headers:get(":method")] then return false end
  if headers:get("content-length") or headers:get("bridge-chunked") then return true end
  return handle:streamInfo():protocol() ~= "HTTP/1.1" and (handle:body() ~= nil or handle:trailers() ~= nil)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  handle:streamInfo():dynamicMetadata():set("bridge", "whose", headers:get("bridge-whose") or "learner")
  headers:remove("bridge-whose")
  if headers:get("cookie") == "" then headers:remove("cookie") end
  if has_body(handle) then handle:headers():replace("connection", "close") end
  handle:headers():remove("bridge-chunked")
end

function envoy_on_response(handle)
  local bridge = handle:streamInfo():dynamicMetadata():get("bridge")
  if not bridge then return end  -- the bridge's own answer
  local headers = handle:headers()
  local cookies = values(headers, "set-cookie")
  headers:remove("set-cookie")
  for _, cookie in ipairs(cookies) do
    if not is_the_bridges(cookie) then headers:add("set-cookie", cookie) end
  end
  if bridge.whose == "learner" or bridge.whose == "course" then
    local remove = {}
    for name, _ in pairs(headers) do
      if shared(name) then remove[#remove + 1] = name end
    end
    for _, name in ipairs(remove) do headers:remove(name) end
    local said = table.concat(values(headers, "cache-control"), ",")
    headers:replace("cache-control", private(said))
  end
end
