-- One guarded commit of one partition: all of the writes and the next position, or nothing.
--
-- KEYS  1 epoch   2 seq   3 next   4 commit (the token of the last claim or commit)
-- ARGV  1 epoch   2 seq   3 next ("" = none yet)   4 token: what the worker knows
--       5 seq, 6 next ("" = none), 7 token to set
--       8 n, then n pairs (key, type): what a key may hold when it exists
--       then for each write: its argument count, the command, the key, further arguments;
--       of a sum (HINCRBY, HINCRBYFLOAT, ZINCRBY) pair after pair
-- Gives 1 when done; {0, epoch, seq, next, token} when refused; {2, k} when the k-th checked key holds another type.
local held = redis.call('MGET', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
local epoch, seq, next_, token = held[1] or '0', held[2] or '0', held[3] or '', held[4] or ''
if epoch ~= ARGV[1] or seq ~= ARGV[2] or next_ ~= ARGV[3] or token ~= ARGV[4] then
  return {0, epoch, seq, next_, token}
end

local call = redis.call
local at = 9
for k = 1, tonumber(ARGV[8]) do
  -- Redis does not roll a script back, so what could fail half-way is looked for before the first write.
  local found = call('TYPE', ARGV[at])['ok']
  if found ~= 'none' and found ~= ARGV[at + 1] then
    return {2, k}
  end
  at = at + 2
end

local sums = {HINCRBY = true, HINCRBYFLOAT = true, ZINCRBY = true}
local last = #ARGV
while at <= last do
  local n, name = tonumber(ARGV[at]), ARGV[at + 1]
  if sums[name] then
    local key = ARGV[at + 2]
    for k = at + 3, at + n, 2 do
      call(name, key, ARGV[k], ARGV[k + 1])
    end
  else
    call(unpack(ARGV, at + 1, at + n))
  end
  at = at + n + 1
end
call('MSET', KEYS[2], ARGV[5], KEYS[4], ARGV[7])
if ARGV[6] ~= '' then
  call('SET', KEYS[3], ARGV[6])
end
return 1
