-- Dense integers for names: the ones there are kept, new ones get the next. KEYS 1 the hash; ARGV 1 how
-- many names the caller has seen in it, then the names. Gives nothing when the hash holds fewer: it has lost some.
local size = redis.call('HLEN', KEYS[1])
if size < tonumber(ARGV[1]) then
  return false
end
local numbers = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
for k = 1, #ARGV - 1 do
  if not numbers[k] then
    -- a name given twice in one call is new only once
    numbers[k] = redis.call('HGET', KEYS[1], ARGV[k + 1]) or size
    if numbers[k] == size then
      redis.call('HSET', KEYS[1], ARGV[k + 1], size)
      size = size + 1
    end
  end
  numbers[k] = tonumber(numbers[k])
end
return numbers
