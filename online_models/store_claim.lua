-- Take a partition over. KEYS 1 epoch  2 seq  3 next  4 commit; ARGV 1 the token that was read, 2 ours.
-- Compared first, so that a claim that arrives late (its connection was cut long ago) fences nobody, not even
-- the worker that sent it. Gives {epoch, seq, next} when ours, else nothing.
local token = redis.call('GET', KEYS[4]) or ''
if token ~= ARGV[2] then
  if token ~= ARGV[1] then
    return false
  end
  redis.call('INCR', KEYS[1])
  redis.call('SET', KEYS[4], ARGV[2])
end
local held = redis.call('MGET', KEYS[1], KEYS[2], KEYS[3])
return {held[1], held[2] or '0', held[3] or ''}
