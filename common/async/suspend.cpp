#include "common/async/suspend.h"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

namespace drover::async {
namespace {

struct Initiate {
  template <class Handler>
  void operator()(Handler&& handler, Start start) const {
    namespace asio = boost::asio;
    // The event loop must not run dry while the other thread works.
    auto executor = asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked);
    auto waiting = std::make_shared<std::decay_t<Handler>>(std::forward<Handler>(handler));
    start([waiting, executor]() mutable {
      asio::post(executor, [handler = std::move(waiting)]() mutable { std::move(*handler)(); });
    });
  }
};

}  // namespace

boost::asio::awaitable<void> suspend(Start start) {
  return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
      Initiate(), boost::asio::use_awaitable, std::move(start));
}

}  // namespace drover::async
