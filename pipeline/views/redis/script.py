"""The script that applies one batch of writes, and moves the position, in one atomic step.

Each write names a guard (a hash beside the key it guards), a mark in it (where the write comes from) and an (offset,
ordinal); it is applied when that pair is higher than the mark's, else dropped, so records may be replayed at will.

The position of the batch's topic partition lies in Redis as well, and moves with the data: whatever Redis loses (a
flush, the tail of its log after a crash), the position is lost with it, the next batch is answered `behind`, and the
projection replays from there.

    KEYS  positions, index of bonds, foreign keys, then per write: key, guard
    ARGV  topic/partition, start, end, events kept, seconds a guard outlives its deleted key, members of a sorted set
          kept, seconds a view lives after its last write, steps of spend with the seconds that each is shown,
          then per write: verb, mark, offset, ordinal, field, value, of its listing: key, member, score, and what it
          counts: tokens, seconds since 1970, prefix, identity
    verbs set, hset (field), push; del, hdel (field);
          bond, unbond (set and del of a bond entry, which is listed in the index under the score `field`);
          view (field of a hash that holds its own marks); list (a member, `field`, of a sorted set under the score
          `offset`; where `value` is not empty, it is the prefix of a key that goes with a member that falls out)

A view, hset or hdel may come with a listing: where the write is applied, a member of a sorted set gets that score, or
without a score is taken out. Guarded by the write's own mark, a member that was taken out does not come back. Sets that
are views are trimmed and expire like lists; others keep every member.

A key under `abl:` that exists without its guard is somebody else's: no write touches it. It is put among the foreign
keys (a set), and named in the answer when it is new there; `endocrine bonds import` takes it over. A guard that is
about to expire is that of a deleted key: what exists beside it was made by others since.

A view may come with tokens that were spent: the first that is applied of a turn and an identity adds them to the sets
of the steps that its time falls in, under the identity and under `all`. Copies of a closing, and others of the same
turn, count nothing: the turn's hash has a mark of the one that was counted. Each set expires once no page shows it any
more.

Every key but those of listings and steps is named in KEYS, but keys of one batch lie in many slots: one Redis (with
replicas or sentinels), no cluster. Keys of the wrong type are left alone. The answer: `applied` or `behind`, then
`foreign` or `type` and the name of each key left alone. Any other error stops the script; Redis refuses for want of
memory or disk only before a script's first write, so that is all or nothing too.
"""

APPLY = r"""
local function foreign(key, guard)
  if string.sub(key, 1, 4) ~= 'abl:' then
    return false
  end
  local lives = redis.call('TTL', guard)
  if lives == -1 then
    return false
  end
  if redis.call('EXISTS', key) == 1 then
    return true
  end
  redis.call('SREM', KEYS[3], key)
  return false
end
local stored = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '-1')
if stored < tonumber(ARGV[2]) then
  return {'behind'}
end
local kept = tonumber(ARGV[4])
local answer = {'applied'}
local listed, lives = tonumber(ARGV[6]), tonumber(ARGV[7])
local at = 9
local function count(turn, counted)
  if counted == '' then
    return
  end
  local tokens, seconds, prefix, identity = string.match(counted, '^(%d+) (%d+) (%S+) (.*)$')
  if redis.call('HSETNX', turn, '~counted ' .. identity, 1) == 0 then
    return
  end
  for step, shown in string.gmatch(ARGV[8], '(%d+):(%d+)') do
    local number = math.floor(tonumber(seconds) / tonumber(step))
    local set = string.format('%s%d:%d', prefix, step, number)
    local done = redis.pcall('ZINCRBY', set, tokens, '=' .. identity)
    if type(done) == 'table' and done.err then
      answer[#answer + 1] = 'type'
      answer[#answer + 1] = set
    else
      redis.call('ZINCRBY', set, tokens, 'all')
      redis.call('EXPIREAT', set, string.format('%d', (number + 1) * step + shown))
    end
  end
end
local function list(set, member, score)
  if set == '' then
    return
  end
  local done
  if score == '' then
    done = redis.pcall('ZREM', set, member)
  else
    done = redis.pcall('ZADD', set, score, member)
  end
  if type(done) == 'table' and done.err then
    answer[#answer + 1] = 'type'
    answer[#answer + 1] = set
  elseif string.sub(set, 1, 15) == 'endocrine:view:' then
    redis.call('ZREMRANGEBYRANK', set, 0, -(listed + 1))
    redis.call('EXPIRE', set, lives)
  end
end
for i = 4, #KEYS, 2 do
  local key, guard = KEYS[i], KEYS[i + 1]
  local verb, mark, field, value = ARGV[at], ARGV[at + 1], ARGV[at + 4], ARGV[at + 5]
  local offset, ordinal = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local listing, member, score = ARGV[at + 6], ARGV[at + 7], ARGV[at + 8]
  local first = at
  at = at + 10
  if verb == 'list' then
    local done = redis.pcall('ZADD', key, offset, field)
    if type(done) == 'table' and done.err then
      answer[#answer + 1] = 'type'
      answer[#answer + 1] = key
    else
      local out = redis.call('ZRANGE', key, 0, -(listed + 1))
      for _, member in ipairs(out) do
        redis.call('ZREM', key, member)
        if value ~= '' then
          redis.call('DEL', value .. member)
        end
      end
      redis.call('EXPIRE', key, lives)
    end
  elseif verb == 'view' then
    local held = redis.pcall('HGET', key, '~' .. mark)
    if type(held) == 'table' and held.err then
      answer[#answer + 1] = 'type'
      answer[#answer + 1] = key
    elseif offset > tonumber(held or '-1') then
      redis.call('HSET', key, field, value, '~' .. mark, ARGV[first + 2])
      redis.call('EXPIRE', key, lives)
      list(listing, member, score)
      count(key, ARGV[first + 9])
    end
  elseif foreign(key, guard) then
    if redis.call('SADD', KEYS[3], key) == 1 then
      answer[#answer + 1] = 'foreign'
      answer[#answer + 1] = key
    end
  else
  local seen = redis.call('HGET', guard, mark) or '-1 -1'
  local space = string.find(seen, ' ', 1, true)
  local seen_offset, seen_ordinal = tonumber(string.sub(seen, 1, space - 1)), tonumber(string.sub(seen, space + 1))
  if offset > seen_offset or (offset == seen_offset and ordinal > seen_ordinal) then
    local done
    if verb == 'set' or verb == 'bond' then
      done = redis.pcall('SET', key, value)
    elseif verb == 'hset' then
      done = redis.pcall('HSET', key, field, value)
    elseif verb == 'push' then
      done = redis.pcall('LPUSH', key, value)
      if type(done) == 'number' and done > kept then
        redis.call('LTRIM', key, 0, kept - 1)
      end
    elseif verb == 'hdel' then
      done = redis.pcall('HDEL', key, field)
    else
      done = redis.pcall('DEL', key)
    end
    if type(done) == 'table' and done.err then
      if string.sub(done.err, 1, 9) ~= 'WRONGTYPE' then
        return redis.error_reply(done.err)
      end
      answer[#answer + 1] = 'type'
      answer[#answer + 1] = key
    elseif verb == 'bond' then
      redis.call('ZADD', KEYS[2], field, string.sub(key, 5))
    elseif verb == 'unbond' then
      redis.call('ZREM', KEYS[2], string.sub(key, 5))
    else
      list(listing, member, score)
    end
    redis.call('HSET', guard, mark, ARGV[first + 2] .. ' ' .. ARGV[first + 3])
    if verb == 'set' or verb == 'bond' or verb == 'hset' or verb == 'push' then
      redis.call('PERSIST', guard)
    elseif redis.call('EXISTS', key) == 0 then
      redis.call('EXPIRE', guard, ARGV[5])
    end
  end
  end
end
if tonumber(ARGV[3]) > stored then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return answer
"""

TAKE_OVER = r"""
local taken = 0
for i = 4, #KEYS, 2 do
  local key, guard = KEYS[i], KEYS[i + 1]
  if redis.call('TTL', guard) ~= -1 and redis.call('EXISTS', key) == 1 then
    if redis.call('TYPE', key).ok == 'list' then
      redis.call('DEL', key)
    end
    redis.call('DEL', guard)
    redis.call('HSET', guard, ARGV[1], '-1 -1')
    redis.call('SREM', KEYS[3], key)
    taken = taken + 1
  end
end
if taken > 0 then
  redis.call('HDEL', KEYS[1], unpack(ARGV, 2))
end
return taken
"""
"""Makes foreign keys ours, in one step: guards are set, lists emptied, and positions taken back, so that the projection
reads the topics again and writes entries and events as these say. Keys that are ours already stay as they are.

    KEYS  as above
    ARGV  a mark that no source has, then the `topic/partition` to be read again
"""
