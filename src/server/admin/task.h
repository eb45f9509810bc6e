// Task<T>: a coroutine that ends with a T. It begins when it is started or awaited, and runs on its caller's core, inside
// whoever resumes it; destroying it while it waits drops it, with all that it awaits.
// Not for: the data path (a frame is an allocation), exceptions (none may leave one).
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace polylog::server {

template <typename T>
class [[nodiscard]] Task {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  // At its end a task goes on with whoever awaits it.
  struct Ending {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(Handle ended) const noexcept {
      const std::coroutine_handle<> waiter = ended.promise().waiter;
      return waiter ? waiter : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };
  struct promise_type {
    std::optional<T> value;
    std::coroutine_handle<> waiter;
    Task get_return_object() { return Task(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    Ending final_suspend() const noexcept { return {}; }
    void return_value(T result) { value = std::move(result); }
    void unhandled_exception() const noexcept { std::terminate(); }
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // For who is no coroutine.
  void start() { handle_.resume(); }
  bool done() const { return handle_.done(); }
  T take() { return std::move(*handle_.promise().value); }  // once done

  // For who awaits it.
  bool await_ready() const noexcept { return false; }
  Handle await_suspend(std::coroutine_handle<> waiter) noexcept {
    handle_.promise().waiter = waiter;
    return handle_;
  }
  T await_resume() { return take(); }

 private:
  explicit Task(Handle handle) : handle_(handle) {}
  Handle handle_;
};

}  // namespace polylog::server
