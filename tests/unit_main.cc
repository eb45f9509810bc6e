// main() of polylog_unit: every *_test.cc beside the code it tests is linked into this one binary.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
