#include "common/delta/seams.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "common/delta/with_type.h"

namespace drover::delta {
namespace {

// --- seams -----------------------------------------------------------------------------------------------------------
constexpr std::uint64_t kBlock = 64;  // numbers whose mean size is one reading
constexpr std::size_t kSide = 4;      // readings on either side of a seam: vectors of fewer than 256 numbers go unseen
constexpr double kJump = 0.75;        // of the logarithm; readings of one tensor differ by 0.12 (four together)
constexpr double kFloor = 8;          // below the median: blocks of zeros are not infinitely small
constexpr std::uint64_t kApart =
    8192;  // numbers a seam in the mean; more seams are not seams (embeddings of many sizes)

template <class T>
double size_of(const std::uint8_t* at) {
  const auto bits = load<T>(at);
  return T::is_special(bits) ? 0 : std::fabs(static_cast<double>(T::value(bits)));
}

template <class T>
std::vector<double> readings(ByteView bytes) {
  constexpr std::size_t kSize = sizeof(typename T::Stored);
  std::vector<double> out(bytes.size() / (kBlock * kSize));
  for (std::size_t b = 0; b < out.size(); ++b) {
    double sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += size_of<T>(bytes.data() + (b * kBlock + i) * kSize);
    out[b] = std::log2(std::max(sum, 1e-300));
  }
  if (out.empty()) return out;
  std::vector<double> sorted = out;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2), sorted.end());
  const double least = sorted[sorted.size() / 2] - kFloor;
  for (double& reading : out) reading = std::max(reading, least);
  return out;
}

// Blocks before which the level jumps: the steepest place of each jump.
std::vector<std::size_t> seams_of(const std::vector<double>& levels) {
  std::vector<std::size_t> seams;
  double steepest = 0;
  std::size_t last = 0;  // block with a jump
  for (std::size_t b = kSide; b + kSide <= levels.size(); ++b) {
    double jump = 0;
    for (std::size_t i = 0; i < kSide; ++i) jump += levels[b + i] - levels[b - 1 - i];
    jump = std::fabs(jump) / kSide;
    if (jump < kJump) continue;
    const bool goes_on = !seams.empty() && b == last + 1;
    if (!goes_on) {
      seams.push_back(b);
      steepest = jump;
    } else if (jump > steepest) {
      seams.back() = b;
      steepest = jump;
    }
    last = b;
  }
  return seams;
}

// --- rows ------------------------------------------------------------------------------------------------------------
constexpr std::size_t kTransform = 1 << 17;              // numbers
constexpr std::size_t kFarthest = 1 << 14;               // distance that is looked at
constexpr std::size_t kSample = kTransform - kFarthest;  // numbers of a piece that are: the transform is a ring
constexpr std::size_t kShortest = 1 << 14;               // of a piece worth it
constexpr std::size_t kLeastColumns = 32, kMostColumns = 1 << 13;
constexpr std::size_t kNear = 64;   // numbers around one that its change is measured by: rows differ in size
constexpr std::size_t kEchoes = 8;  // multiples of a row's length that must resemble it too
constexpr double kSigmas = 8;       // above chance; some ten thousand lengths are tried
constexpr double kAsGood = 0.7;     // of the best score

using Complex = std::complex<float>;  // what is looked for is far above its rounding

void butterflies(Complex* low, Complex* high, const Complex* turns, std::size_t count) {
  for (std::size_t k = 0; k < count; ++k) {
    const Complex odd = high[k], turn = turns[k];
    const Complex turned(odd.real() * turn.real() - odd.imag() * turn.imag(),
                         odd.real() * turn.imag() + odd.imag() * turn.real());
    high[k] = low[k] - turned;
    low[k] += turned;
  }
}

// In place, a power of two long.
void fourier(std::vector<Complex>& values) {
  const std::size_t n = values.size();
  for (std::size_t i = 1, j = 0; i < n; ++i) {
    std::size_t bit = n >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(values[i], values[j]);
  }
  std::vector<Complex> turns(n / 2), some(n / 2);
  for (std::size_t k = 0; k < n / 2; ++k)
    turns[k] = Complex(std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n)));
  for (std::size_t half = 1; half < n; half *= 2) {
    for (std::size_t k = 0; k < half; ++k) some[k] = turns[k * (n / 2 / half)];
    for (std::size_t i = 0; i < n; i += 2 * half) butterflies(&values[i], &values[i + half], some.data(), half);
  }
}

// Sizes of the changes, each by those around it.
template <class T>
std::vector<double> changes(ByteView base, ByteView target) {
  constexpr std::size_t kSize = sizeof(typename T::Stored);
  const std::size_t count = std::min(target.size() / kSize, kSample);
  std::vector<double> sums(count + 1), out(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto before = load<T>(base.data() + i * kSize), after = load<T>(target.data() + i * kSize);
    const bool special = T::is_special(before) || T::is_special(after);
    out[i] = special ? 0 : std::fabs(static_cast<double>(T::value(after)) - static_cast<double>(T::value(before)));
    sums[i + 1] = sums[i] + out[i];
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t first = i - std::min(i, kNear / 2), end = std::min(count, i + kNear / 2);
    const double mean = (sums[end] - sums[first]) / static_cast<double>(end - first);
    out[i] = mean > 0 ? std::min(out[i] / mean - 1, 3.0) : 0;
  }
  return out;
}

// How much numbers resemble those at each distance: 1 at 0.
std::vector<double> resemblance(const std::vector<double>& numbers) {
  std::vector<Complex> values(kTransform);
  std::transform(numbers.begin(), numbers.end(), values.begin(), [](double one) { return static_cast<float>(one); });
  fourier(values);
  for (Complex& value : values) value = std::norm(value);
  fourier(values);
  std::vector<double> out(kFarthest);
  const auto whole = static_cast<double>(values[0].real());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = whole > 0 ? static_cast<double>(values[i].real()) / whole : 0;
  return out;
}

// What a distance has over those beside it: neighbours in a row resemble each other too, but at no distance in
// particular.
double peak(const std::vector<double>& like, std::size_t at) {
  return like[at] - (like[at - 3] + like[at - 2] + like[at + 2] + like[at + 3]) / 4;
}

// In standard deviations of chance, a distance and its multiples.
double score(const std::vector<double>& like, std::size_t distance, std::size_t sample) {
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t at = distance; at + 3 < like.size() && count < kEchoes; at += distance, ++count)
    sum += peak(like, at);
  return count == 0 ? 0 : sum / std::sqrt(static_cast<double>(count)) * std::sqrt(static_cast<double>(sample));
}

template <class T>
std::uint64_t row_length(ByteView base, ByteView target, std::uint64_t usual) {
  const std::vector<double> sizes = changes<T>(base, target);
  const std::vector<double> like = resemblance(sizes);
  std::vector<double> scores;  // from kLeastColumns on
  for (std::size_t columns = kLeastColumns; columns <= std::min(kMostColumns, sizes.size() / 4); ++columns)
    scores.push_back(score(like, columns, sizes.size()));
  const double best = *std::max_element(scores.begin(), scores.end());
  if (best < kSigmas || score(like, usual, sizes.size()) >= kAsGood * best) return usual;
  // Multiples of a row's length do as well as itself, its parts half as well at most.
  const auto first = std::find_if(scores.begin(), scores.end(), [&](double one) { return one >= kAsGood * best; });
  return kLeastColumns + static_cast<std::uint64_t>(first - scores.begin());
}

template <class T>
std::vector<Piece> pieces_of(ByteView base, ByteView target, std::uint64_t usual) {
  constexpr std::size_t kSize = sizeof(typename T::Stored);
  const std::uint64_t elements = target.size() / kSize;
  std::vector<std::size_t> seams = seams_of(readings<T>(target));
  if (seams.size() * kApart > elements) seams.clear();
  std::vector<Piece> out;
  std::uint64_t at = 0;
  seams.push_back(0);  // stands for the end
  for (const std::size_t seam : seams) {
    const std::uint64_t end = seam == 0 ? elements : seam * kBlock, count = end - at;
    const bool known = count >= kShortest && base.size() == target.size();
    out.push_back({count, known ? row_length<T>(base.subspan(at * kSize, count * kSize),
                                                target.subspan(at * kSize, count * kSize), usual)
                                : usual});
    at = end;
  }
  return out;
}

}  // namespace

std::vector<Piece> find_pieces(ElementType type, ByteView base, ByteView target, std::uint64_t usual) {
  return with_type(type, [&](auto t) { return pieces_of<decltype(t)>(base, target, usual); });
}

}  // namespace drover::delta
