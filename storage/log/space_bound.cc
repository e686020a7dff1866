#include "storage/log/space_bound.h"

#include <algorithm>

namespace kvs::log {
namespace {

// Two segments may be allocated and empty, one be an output, and three be garbage.
constexpr std::uint64_t segments_min = 6;
constexpr double slowest_from = 2;

}  // namespace

std::uint64_t SpaceBound::allowed_bytes(const SpaceUse& use) const {
  const std::uint64_t share = use.live_bytes / 100 * amplification_percent;
  const std::uint64_t wanted = std::max(share, use.live_bytes + segments_min * segment_bytes);
  if (use.free_bytes > UINT64_MAX - use.disk_bytes) return wanted;
  const std::uint64_t whole_disk = use.disk_bytes + use.free_bytes;
  const std::uint64_t kept_free = 2 * segment_bytes;
  return std::min(wanted, whole_disk - std::min(whole_disk, kept_free));
}

std::uint64_t SpaceBound::band_bytes(const SpaceUse& use) const {
  const std::uint64_t allowed = allowed_bytes(use);
  const std::uint64_t garbage = allowed - std::min(allowed, use.live_bytes);
  return std::clamp(garbage / 16, segment_bytes, 4 * segment_bytes);
}

std::uint64_t SpaceBound::start_bytes(const SpaceUse& use) const {
  const std::uint64_t allowed = allowed_bytes(use);
  return allowed - std::min(allowed, 2 * band_bytes(use));
}

std::uint64_t SpaceBound::debt_bytes(const SpaceUse& use) const {
  return use.disk_bytes - std::min(use.disk_bytes, start_bytes(use));
}

double SpaceBound::pressure(const SpaceUse& use) const {
  return static_cast<double>(debt_bytes(use)) / static_cast<double>(band_bytes(use));
}

bool SpaceBound::tombstones_dominate(const SpaceUse& use) const {
  return use.tombstone_bytes > segment_bytes && use.tombstone_bytes > use.disk_bytes / 8;
}

double working_share(double pressure) {
  return std::clamp(0.25 + 0.75 * pressure, 0.25, 1.0);
}

std::chrono::microseconds writer_delay(double pressure, std::uint64_t bytes) {
  if (pressure <= 1) return std::chrono::microseconds(0);
  if (pressure >= slowest_from) return writer_delay_max;
  constexpr double us_per_byte = 0.05;
  const double us = (pressure - 1) * us_per_byte * static_cast<double>(bytes);
  return std::chrono::microseconds(static_cast<std::int64_t>(us));
}

}  // namespace kvs::log
