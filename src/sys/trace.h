/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints of SIDE: /sys/kernel/tracing/events/side. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM side

#if !defined(SIDE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define SIDE_TRACE_H

#include <linux/tracepoint.h>

/* A fault in ring 3, whatever becomes of it: a warning, an emulated instruction, a death. */
TRACE_EVENT(side_fault,
	TP_PROTO(const char *driver, u8 vector, u64 error, u64 address, u64 ip),
	TP_ARGS(driver, vector, error, address, ip),
	TP_STRUCT__entry(
		__string(driver, driver)
		__field(u8, vector)
		__field(u64, error)
		__field(u64, address)
		__field(u64, ip)
	),
	TP_fast_assign(
		__assign_str(driver);
		__entry->vector = vector;
		__entry->error = error;
		__entry->address = address;
		__entry->ip = ip;
	),
	TP_printk("driver=%s vector=%u error=%#llx address=%#llx ip=%#llx", __get_str(driver),
		  __entry->vector, __entry->error, __entry->address, __entry->ip)
);

/* A domain is dead; the first cause. */
TRACE_EVENT(side_death,
	TP_PROTO(const char *driver, const char *rule, const char *upcall, u64 value, u64 ip),
	TP_ARGS(driver, rule, upcall, value, ip),
	TP_STRUCT__entry(
		__string(driver, driver)
		__string(rule, rule)
		__string(upcall, upcall)
		__field(u64, value)
		__field(u64, ip)
	),
	TP_fast_assign(
		__assign_str(driver);
		__assign_str(rule);
		__assign_str(upcall);
		__entry->value = value;
		__entry->ip = ip;
	),
	TP_printk("driver=%s rule=%s upcall=%s value=%#llx ip=%#llx", __get_str(driver),
		  __get_str(rule), __get_str(upcall), __entry->value, __entry->ip)
);

/* All that a dead domain held is given back, so many ns after its death. */
TRACE_EVENT(side_recovery,
	TP_PROTO(const char *driver, u64 took_ns),
	TP_ARGS(driver, took_ns),
	TP_STRUCT__entry(
		__string(driver, driver)
		__field(u64, took_ns)
	),
	TP_fast_assign(
		__assign_str(driver);
		__entry->took_ns = took_ns;
	),
	TP_printk("driver=%s took_ns=%llu", __get_str(driver), __entry->took_ns)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
