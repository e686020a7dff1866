// combinators.h - all of them: types that spell a whole pipeline, without heap.
//
//   auto length = map(client.get_op("key"), [](auto value) { return value ? value->size() : 0; });
//   Result<std::size_t> bytes = co_await length;
//
// README.md says what each costs, where it resumes and what dropping it does.
#pragma once

#include "protocol/async/map.h"
#include "protocol/async/operation.h"
#include "protocol/async/then.h"
#include "protocol/async/when_all.h"
#include "protocol/async/when_any.h"
#include "protocol/async/with_timeout.h"
