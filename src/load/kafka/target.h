// The topic of a run on a Kafka broker: one replica, acks=all.
#pragma once

#include <memory>
#include <string>

#include "load/target.h"

namespace polylog::load::kafka {

std::unique_ptr<Target> make_target(Address address, std::string topic, const Plan& plan);

}  // namespace polylog::load::kafka
