-- Several reads of one partition as one answer: one reply for the client to take in, however many users are loaded.
--
-- KEYS  what is read, in order
-- ARGV  for each key its command: GET or HGETALL
local out = {}
for k = 1, #KEYS do
  out[k] = redis.call(ARGV[k], KEYS[k])
end
return out
