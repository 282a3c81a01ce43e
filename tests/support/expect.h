// Expectations on Result: the error's code and sentence stand in the failure.
//   EXPECT_OK(store.put(x));
//   EXPECT_CODE(store.get("none"), Code::not_found);
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "common/base/result.h"

namespace drover::test {

template <class T>
::testing::AssertionResult is_ok(const Result<T>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << code_name(result.error().code()) << ": " << result.error().message();
}

template <class T>
::testing::AssertionResult has_code(const Result<T>& result, Code code) {
  if (result) return ::testing::AssertionFailure() << "no error, where " << code_name(code) << " was expected";
  if (result.error().code() == code) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << code_name(result.error().code()) << " (" << result.error().message()
                                       << "), where " << code_name(code) << " was expected";
}

}  // namespace drover::test

#define EXPECT_OK(expression) EXPECT_TRUE(::drover::test::is_ok(expression))
#define ASSERT_OK(expression) ASSERT_TRUE(::drover::test::is_ok(expression))
#define EXPECT_CODE(expression, code) EXPECT_TRUE(::drover::test::has_code(expression, code))
#define ASSERT_CODE(expression, code) ASSERT_TRUE(::drover::test::has_code(expression, code))
