// A validator that passes everything, for measuring the agent without a runtime of any framework beside it.
#include <cstdio>

int main() {
  std::puts(
      R"({"verdict":"pass","code":"ok","detail":"not looked at","load_us":1,"latency_p50_us":1,)"
      R"("incumbent_latency_p50_us":null,"peak_rss_bytes":1,"agreement":1.0,"max_abs_diff":0.0,"accuracy":null,)"
      R"("samples":1,"runtime":"none"})");
}
