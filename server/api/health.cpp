#include "server/api/resources.h"

namespace drover::api {

Answer get_healthz(Api&, Call&) { co_return net::Response(200, "text/plain; charset=utf-8", "ok\n"); }

// Ready: the database answers.
Answer get_readyz(Api& api, Call&) {
  store::ReadFn<std::int64_t> read = [](const store::Reader& reader) {
    return reader.devices.count_state(fleet::DeviceState::active);
  };
  const Result<std::int64_t> answered = co_await api.store.read(std::move(read));
  if (!answered) co_return answered.error();
  co_return net::Response(200, "text/plain; charset=utf-8", "ready\n");
}

Answer get_metrics(Api& api, Call&) {
  co_return net::Response(200, "text/plain; version=0.0.4; charset=utf-8", api.metrics.expose());
}

}  // namespace drover::api
