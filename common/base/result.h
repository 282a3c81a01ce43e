// Result<T>: a value or an Error, shaped like std::expected (C++23), which g++ 12 lacks.
// Reading the wrong side is a bug and ends the process: check first.
#pragma once

#include <cstdlib>
#include <optional>
#include <utility>
#include <variant>

#include "common/base/error.h"

namespace drover {

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return *checked(); }
  const T& value() const& { return *const_cast<Result*>(this)->checked(); }
  T&& value() && { return std::move(*checked()); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return checked(); }
  const T* operator->() const { return const_cast<Result*>(this)->checked(); }

  const Error& error() const& {
    if (has_value()) std::abort();
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    if (has_value()) std::abort();
    return std::move(*std::get_if<1>(&state_));
  }
  T value_or(T fallback) && { return has_value() ? std::move(*checked()) : std::move(fallback); }

  // Adds context to an error; a value passes unchanged.
  Result within(std::string_view doing) && {
    if (has_value()) return std::move(*this);
    return std::move(*this).error().within(doing);
  }

 private:
  T* checked() {
    T* value = std::get_if<0>(&state_);
    if (value == nullptr) std::abort();
    return value;
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return !error_; }
  explicit operator bool() const { return has_value(); }
  const Error& error() const& {
    if (!error_) std::abort();
    return *error_;
  }
  Error&& error() && {
    if (!error_) std::abort();
    return std::move(*error_);
  }
  Result within(std::string_view doing) && {
    if (has_value()) return {};
    return std::move(*error_).within(doing);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace drover

// TRY(expr): for a Status; returns its error from the enclosing function.
// TRY_ASSIGN(declaration, expr): for a Result<T>; declares the value, or returns the error.
// The CO_ forms are for coroutines.
#define DROVER_CONCAT_(a, b) a##b
#define DROVER_CONCAT(a, b) DROVER_CONCAT_(a, b)
#define DROVER_TRY_(ret, tmp, expr)                   \
  do {                                                \
    auto tmp = (expr);                                \
    if (!tmp.has_value()) ret std::move(tmp).error(); \
  } while (false)
#define DROVER_TRY_ASSIGN_(ret, tmp, decl, expr)    \
  auto tmp = (expr);                                \
  if (!tmp.has_value()) ret std::move(tmp).error(); \
  decl = std::move(*tmp)
#define TRY(expr) DROVER_TRY_(return, DROVER_CONCAT(try_, __LINE__), expr)
#define CO_TRY(expr) DROVER_TRY_(co_return, DROVER_CONCAT(try_, __LINE__), expr)
#define TRY_ASSIGN(decl, expr) DROVER_TRY_ASSIGN_(return, DROVER_CONCAT(try_, __LINE__), decl, expr)
#define CO_TRY_ASSIGN(decl, expr) DROVER_TRY_ASSIGN_(co_return, DROVER_CONCAT(try_, __LINE__), decl, expr)
