/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_metrics.h"

#include "cir/cir_service.h"

/* More are counted, not named. */
#define QUARANTINED_MAX 1000

static const char *const kind_names[CIR_ROUTE_COUNT + 1] = {
	[CIR_ROUTE_PING] = "ping",         [CIR_ROUTE_CATALOG] = "catalog",     [CIR_ROUTE_TAGS] = "tags",
	[CIR_ROUTE_MANIFEST] = "manifest", [CIR_ROUTE_BLOB] = "blob",           [CIR_ROUTE_UPLOADS] = "uploads",
	[CIR_ROUTE_UPLOAD] = "upload",     [CIR_ROUTE_REFERRERS] = "referrers", [CIR_ROUTE_METRICS] = "metrics",
	[CIR_ROUTE_TOKEN] = "token",       [CIR_ROUTE_COUNT] = "none",
};

static const struct {
	uint64_t ns;
	const char *name;
} buckets[CIR_METRICS_BUCKETS] = {
	{UINT64_C(1000000), "0.001"}, {UINT64_C(10000000), "0.01"},  {UINT64_C(100000000), "0.1"},
	{UINT64_C(1000000000), "1"},  {UINT64_C(10000000000), "10"}, {UINT64_MAX, "+Inf"},
};

void cir_metrics_count(struct cir_metrics *metrics, enum cir_route_kind kind, int status, uint64_t bytes,
		       uint64_t duration_ns)
{
	int class = status / 100;
	size_t i = 0;

	atomic_fetch_add(&metrics->requests[kind][class > 0 && class < CIR_METRICS_CLASSES ? class : 0], 1);
	while (duration_ns > buckets[i].ns)
		i++;
	atomic_fetch_add(&metrics->seconds[i], 1);
	atomic_fetch_add(&metrics->microseconds, duration_ns / 1000);
	atomic_fetch_add(&metrics->bytes, bytes);
}

static int header(struct buf *to, const char *name, const char *type, const char *help)
{
	return buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static int value(struct buf *to, const char *name, const char *type, const char *help, uint64_t number)
{
	int r = header(to, name, type, help);

	return r < 0 ? r : buf_printf(to, "%s %llu\n", name, (unsigned long long)number);
}

static int format_requests(const struct cir_metrics *metrics, struct buf *to)
{
	int r = header(to, "bulkhead_cir_requests_total", "counter", "requests by endpoint and class of the answer");

	for (size_t kind = 0; kind <= CIR_ROUTE_COUNT; kind++)
		for (size_t class = 0; class < CIR_METRICS_CLASSES; class ++) {
			uint64_t count = atomic_load(&metrics->requests[kind][class]);

			if (r == 0 && count)
				r = buf_printf(to, "bulkhead_cir_requests_total{endpoint=\"%s\",code=\"%zuxx\"} %llu\n",
					       kind_names[kind], class, (unsigned long long)count);
		}
	return r;
}

static int format_times(const struct cir_metrics *metrics, struct buf *to)
{
	uint64_t sum = 0;
	int r = header(to, "bulkhead_cir_request_seconds", "histogram", "from the header to the end of the answer");

	for (size_t i = 0; r == 0 && i < CIR_METRICS_BUCKETS; i++) {
		sum += atomic_load(&metrics->seconds[i]);
		r = buf_printf(to, "bulkhead_cir_request_seconds_bucket{le=\"%s\"} %llu\n", buckets[i].name,
			       (unsigned long long)sum);
	}
	if (r == 0)
		r = buf_printf(to, "bulkhead_cir_request_seconds_sum %f\nbulkhead_cir_request_seconds_count %llu\n",
			       (double)atomic_load(&metrics->microseconds) / 1e6, (unsigned long long)sum);
	return r < 0 ? r
		     : value(to, "bulkhead_cir_sent_bytes_total", "counter", "bytes of bodies sent",
			     atomic_load(&metrics->bytes));
}

static int format_upkeep(const struct cir_upkeep_counters *counters, struct buf *to)
{
	const struct {
		const char *name, *type, *help;
		const _Atomic uint64_t *number;
	} rows[] = {
		{"bulkhead_cir_collections_total", "counter", "runs of the collector", &counters->collections},
		{"bulkhead_cir_collected_contents_total", "counter", "contents removed", &counters->contents},
		{"bulkhead_cir_collected_bytes_total", "counter", "bytes removed", &counters->bytes},
		{"bulkhead_cir_damaged_repositories", "gauge",
		 "repositories that are not collected for a damaged manifest", &counters->damaged},
		{"bulkhead_cir_scrubs_total", "counter", "passes over all contents", &counters->scrubs},
		{"bulkhead_cir_verified_bytes_total", "counter", "stored bytes verified", &counters->scrubbed.bytes},
		{"bulkhead_cir_corrupt_total", "counter", "contents found corrupt", &counters->scrubbed.corrupt},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++)
		r = value(to, rows[i].name, rows[i].type, rows[i].help, atomic_load(rows[i].number));
	return r;
}

static int format_quarantine(const struct cir_files *files, struct buf *to)
{
	CLEANUP_CIR_LIST struct cir_list list = {0};
	int r = cir_files_list_quarantine(files, &list, NULL);

	if (r == 0)
		r = header(to, "bulkhead_cir_quarantined", "gauge", "corrupt contents that lie in quarantine");
	for (size_t i = 0; r == 0 && i < list.count && i < QUARANTINED_MAX; i++)
		r = buf_printf(to, "bulkhead_cir_quarantined{digest=\"%s\"} 1\n", list.names[i]);
	return r;
}

struct usage {
	struct buf *to;
	int result;
};

static void format_domain(const struct cir_domain *domain, const struct cir_usage *usage, void *user)
{
	const struct {
		const char *what;
		uint64_t used, limit;
	} rows[] = {{"bytes", usage->bytes, domain->bytes}, {"objects", usage->objects, domain->objects}};
	struct usage *all = user;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (all->result == 0)
			all->result = buf_printf(all->to, "bulkhead_cir_domain_%s{domain=\"%s\"} %llu\n", rows[i].what,
						 domain->name, (unsigned long long)rows[i].used);
		if (all->result == 0 && rows[i].limit != UINT64_MAX)
			all->result = buf_printf(all->to, "bulkhead_cir_domain_%s_limit{domain=\"%s\"} %llu\n",
						 rows[i].what, domain->name, (unsigned long long)rows[i].limit);
	}
}

int cir_metrics_format(const struct cir_service *service, struct buf *to)
{
	struct usage usage = {to, 0};
	int r = format_requests(&service->metrics, to);

	if (r == 0)
		r = format_times(&service->metrics, to);
	if (r == 0)
		r = format_upkeep(cir_upkeep_counters(service->upkeep), to);
	if (r == 0)
		r = format_quarantine(&service->files, to);
	if (r == 0)
		r = value(to, "bulkhead_cir_uploads", "gauge", "uploads on their way",
			  cir_uploads_count(service->uploads));
	if (r == 0)
		cir_quota_each(service->files.quota, format_domain, &usage);
	return r < 0 ? r : usage.result;
}
