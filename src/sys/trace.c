// SPDX-License-Identifier: GPL-2.0
/* The tracepoints of trace.h as real functions, with texts that end with a NUL; the coredump. */
#include <linux/devcoredump.h>
#define CREATE_TRACE_POINTS
#include "trace.h"
#include "shim.h"

void side_trace_fault(const char *driver, u8 vector, u64 error, u64 address, u64 ip)
{
	trace_side_fault(driver, vector, error, address, ip);
}

void side_trace_death(const char *driver, const char *rule, const char *upcall, u64 value, u64 ip)
{
	trace_side_death(driver, rule, upcall, value, ip);
}

void side_trace_recovery(const char *driver, u64 took_ns)
{
	trace_side_recovery(driver, took_ns);
}

void side_coredump(struct device *device, void *data, size_t length)
{
	dev_coredumpv(device, data, length, GFP_KERNEL);
}
