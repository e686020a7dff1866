// handle.h - an owner for libuv handles, which may only be freed after their close callback.
//
// HandlePtr closes the handle when it goes out of scope and frees it when libuv says so; the loop
// must run once more for that (Loop's destructor does).
#pragma once

#include <memory>

#include <uv.h>

namespace kvs::uv {

template <class Handle>
struct CloseAndFree {
  void operator()(Handle* handle) const noexcept {
    uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* closed) {
      const std::unique_ptr<Handle> freed(reinterpret_cast<Handle*>(closed));
    });
  }
};

// A handle on the heap. Destroy it on its loop's thread.
template <class Handle>
using HandlePtr = std::unique_ptr<Handle, CloseAndFree<Handle>>;

// Allocates a handle and runs `init(handle)`, which must be the libuv function that initialises it
// and must not fail.
template <class Handle, class Init>
HandlePtr<Handle> make_handle(Init&& init) {
  auto memory = std::make_unique<Handle>();
  init(memory.get());
  return HandlePtr<Handle>(memory.release());
}

}  // namespace kvs::uv
