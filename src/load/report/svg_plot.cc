#include "load/report/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace polylog::load {
namespace {

constexpr double kWidth = 860, kHeight = 300;
constexpr double kLeft = 70, kRight = 20, kTop = 30, kBottom = 45;

// One axis: values to pixels.
class Scale {
 public:
  Scale(const Axis& axis, double min, double max, double from_pixel, double to_pixel)
      : logarithmic_(axis.logarithmic), from_(from_pixel), to_(to_pixel), ticks_(axis.ticks) {
    if (ticks_.empty()) ticks_ = logarithmic_ ? decade_ticks(min, max) : linear_ticks(max);
    low_ = position(logarithmic_ ? std::min(min, ticks_.front().at) : 0);
    high_ = position(std::max(max, ticks_.back().at));
    if (high_ <= low_) high_ = low_ + 1;
  }

  bool shows(double value) const { return std::isfinite(value) && (!logarithmic_ || value > 0); }
  double pixel(double value) const { return from_ + (position(value) - low_) / (high_ - low_) * (to_ - from_); }
  double begin_pixel() const { return from_; }
  const std::vector<Tick>& ticks() const { return ticks_; }

 private:
  double position(double value) const { return logarithmic_ ? std::log10(value) : value; }

  bool logarithmic_;
  double from_, to_;
  double low_ = 0, high_ = 1;
  std::vector<Tick> ticks_;
};

struct Range {
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();

  void add(double value, bool positive_only) {
    if (!std::isfinite(value) || (positive_only && value <= 0)) return;
    min = std::min(min, value);
    max = std::max(max, value);
  }
  void settle() {
    if (min > max) min = max = 1;
  }
};

std::string path_of(const Series& series, const Scale& x, const Scale& y) {
  std::string path;
  bool drawing = false;
  for (const auto& [at, value] : series.points) {
    if (!x.shows(at) || !y.shows(value)) {
      drawing = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", drawing ? 'L' : 'M', x.pixel(at), y.pixel(value));
    drawing = true;
  }
  return path;
}

std::string drawn(const Series& series, const Scale& x, const Scale& y) {
  std::string path = path_of(series, x, y);
  if (path.empty()) return {};
  std::string fill = "none";
  if (series.filled) {
    path += fmt::format("L{:.1f} {:.1f}L{:.1f} {:.1f}Z", x.pixel(series.points.back().first), y.begin_pixel(),
                        x.pixel(series.points.front().first), y.begin_pixel());
    fill = series.color + "\" fill-opacity=\"0.25";
  }
  return fmt::format("<path d=\"{}\" fill=\"{}\" stroke=\"{}\" stroke-width=\"1.5\"/>\n", path, fill, series.color);
}

std::string grid(const Plot& plot, const Scale& x, const Scale& y) {
  std::string text;
  for (const Tick& tick : y.ticks()) {
    const double at = y.pixel(tick.at);
    text += fmt::format(
        "<path d=\"M{} {:.1f}H{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", kLeft,
        at, kWidth - kRight, kLeft - 6, at + 4, escaped(tick.label));
  }
  for (const Tick& tick : x.ticks()) {
    const double at = x.pixel(tick.at);
    text += fmt::format(
        "<path d=\"M{:.1f} {}V{}\" stroke=\"#eee\"/><text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", at,
        kTop, kHeight - kBottom, at, kHeight - kBottom + 16, escaped(tick.label));
  }
  text += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", (kLeft + kWidth - kRight) / 2,
                      kHeight - 8, escaped(plot.x.label));
  text += fmt::format("<text x=\"14\" y=\"{0}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {0})\">{1}</text>\n",
                      (kTop + kHeight - kBottom) / 2, escaped(plot.y.label));
  return text;
}

std::string legend(const Plot& plot) {
  constexpr double kEntryWidth = 150;
  std::string text;
  double at = kLeft;
  for (const Series& series : plot.series) {
    text += fmt::format("<path d=\"M{} 15h18\" stroke=\"{}\" stroke-width=\"3\"/><text x=\"{}\" y=\"19\">{}</text>\n",
                        at, series.color, at + 24, escaped(series.name));
    at += kEntryWidth;
  }
  return text;
}

std::string label_of(double value) {
  if (value >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.4g}k", value / 1e3);
  return fmt::format("{:.4g}", value);
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::vector<Tick> linear_ticks(double max) {
  if (!(max > 0)) max = 1;
  const double decade = std::pow(10, std::floor(std::log10(max)));
  double step = decade;
  if (max / decade <= 2)
    step = decade / 4;
  else if (max / decade <= 5)
    step = decade / 2;
  std::vector<Tick> ticks;
  for (int i = 0; ticks.size() < 2 || ticks.back().at < max; ++i) {
    ticks.push_back({i * step, label_of(i * step)});
  }
  return ticks;
}

std::vector<Tick> decade_ticks(double min, double max) {
  std::vector<Tick> ticks;
  const int last = static_cast<int>(std::ceil(std::log10(max)));
  for (int power = static_cast<int>(std::floor(std::log10(min))); power <= last; ++power) {
    ticks.push_back({std::pow(10, power), label_of(std::pow(10, power))});
  }
  return ticks;
}

std::string svg_plot(const Plot& plot) {
  Range x_range, y_range;
  for (const Series& series : plot.series) {
    for (const auto& [at, value] : series.points) {
      x_range.add(at, plot.x.logarithmic);
      y_range.add(value, plot.y.logarithmic);
    }
  }
  x_range.settle();
  y_range.settle();
  const Scale x(plot.x, x_range.min, x_range.max, kLeft, kWidth - kRight);
  const Scale y(plot.y, y_range.min, y_range.max, kHeight - kBottom, kTop);
  std::string text = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\">\n", kWidth, kHeight);
  for (const auto& [from, to] : plot.bands) {
    const double left = x.pixel(from);
    text += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"#d33\" fill-opacity=\"0.15\"/>\n", left,
        kTop, std::max(1.0, x.pixel(to) - left), kHeight - kTop - kBottom);
  }
  text += grid(plot, x, y);
  for (const Series& series : plot.series) text += drawn(series, x, y);
  return text + legend(plot) + "</svg>\n";
}

}  // namespace polylog::load
