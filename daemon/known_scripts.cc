#include "daemon/known_scripts.h"

#include <algorithm>
#include <array>
#include <openssl/evp.h>

#include "daemon/commands/arguments.h"

namespace kvs::daemon {

namespace {

constexpr std::array known = {
    // redis-py 3 to 8, redis.lock and redis.asyncio.lock; aioredis
    KnownScript{"c3f8721cbb97f72bc19e972846bd7aaf91901658", Script::release, 2, 6},
    KnownScript{"a4e8783852e6b949f9ef3a97212805108459a890", Script::extend_by, 2, 18},
    KnownScript{"1cac51482acf5858da00f6d685d68f886cd6b6b2", Script::renew, 2, 6},
    // redlock (npm) 1 to 3; bsm/redislock
    KnownScript{"862f31bf38e9b63ce28d6e9e5143551bb34ef981", Script::set_once, 1, 1},
    KnownScript{"a7aba3bc5d6e99b3003da8b9d80a63b9f4092ecf", Script::renew, 1, 1},
    KnownScript{"cf0e94b2e9ffc7e04395cf88f7583fc309985910", Script::release, 1, 1},
    KnownScript{"6484da7d58920897fdc22b7f9afd1a3d47524ea8", Script::remaining, 1, 1},
    // redlock (npm) 4
    KnownScript{"e5a322e2634ef59a516e8ea150cb085afafee684", Script::acquire_all, 4, 11},
    KnownScript{"ce46f80993d5dac20dd066eb301a4e37994bdbed", Script::extend_all, 4, 11},
    KnownScript{"0f0f23b9048b36752b5be114f357ba083449f908", Script::release_all, 5, 6},
    // redlock (npm) 5
    KnownScript{"96da70f7716f27d278a5218544df37fd8b0a5e4c", Script::acquire_all, 4, 11},
    KnownScript{"aed6f382e410db8ba7926d4e5e9aab410bf2a78a", Script::extend_all, 4, 11},
    KnownScript{"e4612211c9f8f51c257e26e056b0a654b3187242", Script::release_all, 5, 6},
    // redis-semaphore (npm), its Mutex
    KnownScript{"7157921a7cc7cfba979acf6d63f073151df17d12", Script::release, 5, 6},
    KnownScript{"594683e49a64ebaf975caf5f8079a1d097c438f1", Script::renew, 6, 9},
    // redlock-py
    KnownScript{"4e92fdc63815b3a0a2dd1c1df3694de73607c88d", Script::release, 2, 3},
    // redlock-rb
    KnownScript{"ceb2b2062e40c51a2b3963fd078bc71f11bdc65c", Script::set_own, 1, 2},
    KnownScript{"8e4905cee18e7c3188d10f2b8b170e403baed34f", Script::release, 1, 2},
    KnownScript{"78d2ca48a6dc9ef6892059792a3a0c5237733d64", Script::value_and_remaining, 1, 1},
    // redsync (Go)
    KnownScript{"00583931c4e4d483f6233879c133c71ed5393f9d", Script::release, 2, 3},
    KnownScript{"d75bb8b5bd13532ddedd17762e772346e39b321e", Script::renew, 2, 3},
    // phpredis' session handler; the documentation of SET, in one line
    KnownScript{"b70c2384248f88e6b75b9f89241a180f856ad852", Script::release, 1, 1},
    // Laravel's cache locks; the documentation of SET, with and without a last line end
    KnownScript{"647c65a442733a1aa440f99908d249d13b4d6c4a", Script::release, 1, 2},
    KnownScript{"194f3902b2dd08557818d09fc2e7682d91480e53", Script::release, 1, 2},
    // django-redis 4.12 to 5, incr()
    KnownScript{"f4a7da3e5d8ea3b46642af08427151cae0190400", Script::increment_present, 2, 4},
    KnownScript{"4d15273b16b10c15e1d9202cbe93c959ab7d250b", Script::increment, 2, 2},
    // rate-limiter-flexible (npm), RateLimiterRedis
    KnownScript{"a1de965f42e177aa339706bd580f049065eca79a", Script::count_in_window, 1, 1},
};

}  // namespace

const KnownScript* find_script(std::string_view digest) {
  const std::string wanted = lower_case(digest.substr(0, known.front().digest.size() + 1));
  const auto found = std::find_if(known.begin(), known.end(), [&](const KnownScript& script) {
    return script.digest == wanted;
  });
  return found == known.end() ? nullptr : &*found;
}

std::string script_digest(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int count = 0;
  const int done = EVP_Digest(text.data(), text.size(), bytes.data(), &count, EVP_sha1(), nullptr);
  std::string digits;
  if (done != 1) return digits;  // no SHA-1 in this system's OpenSSL: no script is known
  constexpr std::string_view hexadecimal = "0123456789abcdef";
  for (unsigned int i = 0; i < count; ++i) {
    digits += hexadecimal[bytes[i] >> 4];
    digits += hexadecimal[bytes[i] & 0xf];
  }
  return digits;
}

}  // namespace kvs::daemon
