-- Dense integers for names: the ones there are kept, new ones get the next. KEYS 1 the hash; ARGV the names.
local numbers = redis.call('HMGET', KEYS[1], unpack(ARGV))
local size = redis.call('HLEN', KEYS[1])
for k = 1, #ARGV do
  if not numbers[k] then
    -- a name given twice in one call is new only once
    numbers[k] = redis.call('HGET', KEYS[1], ARGV[k]) or size
    if numbers[k] == size then
      redis.call('HSET', KEYS[1], ARGV[k], size)
      size = size + 1
    end
  end
  numbers[k] = tonumber(numbers[k])
end
return numbers
