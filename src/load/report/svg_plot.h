// svg_plot: a plot of lines as inline SVG. Axes are linear or logarithmic; what a logarithmic axis cannot show (zero) is a
// gap in the line.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace polylog::load {

struct Series {
  std::string name;
  std::string color;
  std::vector<std::pair<double, double>> points;  // x, y; rising x
  bool filled = false;                            // down to the x axis
};

struct Tick {
  double at = 0;
  std::string label;
};

struct Axis {
  std::string label;
  bool logarithmic = false;
  std::vector<Tick> ticks = {};  // none: round numbers
};

struct Plot {
  Axis x, y;
  std::vector<Series> series;
  std::vector<std::pair<double, double>> bands = {};  // of x: when something was the matter
};

// Linear axes begin at zero.
std::string svg_plot(const Plot& plot);

std::string escaped(std::string_view text);  // for HTML and SVG

// Round numbers that cover 0 to `max`, at least two and at most twelve.
std::vector<Tick> linear_ticks(double max);
// The powers of ten from the one at or below `min` to the one at or above `max`.
std::vector<Tick> decade_ticks(double min, double max);

}  // namespace polylog::load
