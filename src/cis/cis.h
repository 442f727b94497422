/* SPDX-License-Identifier: Apache-2.0 */
/* The instance service: what its files share. One thread owns all of it; jobs see only what they are handed. */
#ifndef CIS_CIS_H
#define CIS_CIS_H

#include <stdatomic.h>

#include "base/loop.h"
#include "cis/admit.h"
#include "cis/nodeconfig.h"
#include "cis/nodestate.h"
#include "cis/outbox.h"
#include "cis/podrecord.h"
#include "cis/superlink.h"
#include "cis/work.h"
#include "image/image.h"
#include "network/network.h"

struct keyring;

#define CIS_REASON_SIZE 48
#define CIS_MESSAGE_SIZE 512

struct cis {
	struct nodeconfig config;
	struct loop *loop;
	struct work *work;
	struct outbox *outbox; /* NULL: without a CISM (run from a ticket file) */
	struct network *network;
	struct image_store *images;
	struct keyring *keyring; /* keys that were handed over for images of pods */
	int images_dir;
	struct nodestate state;
	char *pods_state; /* var/lib/bulkhead/cis/pods */
	char *pods_run;   /* run/bulkhead/pods */
	struct pod **pods;
	size_t pod_count;
	bool *ranges; /* user id ranges in use */
	uint32_t range_last;
	bool draining;                 /* stops all pods and takes no new ones */
	void (*idle)(struct cis *cis); /* called when a pod came to rest or is gone, or NULL */
};

enum pod_stage {
	POD_TICKET,    /* waits for its ticket */
	POD_REFUSED,   /* never starts */
	POD_PREPARING, /* images, volumes, supervisor */
	POD_RUNNING,   /* supervised; containers come and go */
	POD_STOPPING,  /* containers are being ended */
	POD_TEARDOWN,  /* what was made is being removed */
	POD_FINISHED,  /* ended for good; logs are kept until the object goes */
	POD_DRAINED,   /* stopped with the instance, to run again with it */
};

enum container_state { CONTAINER_WAITING, CONTAINER_STARTING, CONTAINER_RUNNING, CONTAINER_EXITED };

/* How a run of a container ended. */
struct container_exit {
	bool known;
	int code;
	int signal;
	bool oom;
	int64_t started_ms, finished_ms; /* wall clock */
	char reason[CIS_REASON_SIZE];    /* "Completed", "Error", "OOMKilled", "StartError", "ContainerCannotRun" */
	char message[CIS_MESSAGE_SIZE];
	unsigned attempt;
};

struct container {
	struct pod *pod;
	const struct podspec_container *spec;
	struct image *image;
	enum container_state state;
	bool settled;     /* it ended and is not started again */
	bool deleting;    /* the supervisor removes its last run */
	unsigned attempt; /* of the current or next run, from 0 */
	unsigned restarts;
	int64_t started_ms;
	uint64_t backoff_ms;  /* pause before the next start; 0: none yet */
	uint64_t start_at_ns; /* not before this monotonic time */
	struct loop_source *timer;
	char reason[CIS_REASON_SIZE]; /* why it waits */
	char message[CIS_MESSAGE_SIZE];
	struct container_exit exit, last; /* of this and of the run before */
};

struct pod {
	struct cis *cis;
	char uid[PODRECORD_UID_MAX];
	char *namespace, *name;
	enum pod_stage stage;
	struct admitted admitted; /* from PREPARING on */
	struct podrecord record;  /* likewise */
	bool recorded;
	char address[NETWORK_ADDRESS_SIZE];
	json_t *namespaces; /* paths, from the supervisor */
	json_t *objects;    /* ConfigMaps and Secrets */
	struct superlink *link;
	struct container *containers; /* as in admitted.spec */
	size_t count;
	bool busy;             /* a job of it is under way */
	atomic_bool cancelled; /* tells the job */
	bool deleted;          /* the object is to go, or gone */
	bool unasked; /* nothing of it runs (a reboot): it begins again when the CISM says it is still charged */
	int64_t grace_s;
	bool killed;               /* grace is over */
	bool adopting;             /* rows of a status are being read: nothing is decided before the last one */
	struct loop_source *timer; /* next try, or end of grace */
	uint64_t backoff_ms;
	int64_t started_ms;           /* when the instance took it */
	char reason[CIS_REASON_SIZE]; /* of the pod: "TicketRefused" … or empty */
	char message[1100];
	bool status_dirty, status_busy;
	bool was_ready, was_initialized; /* as reported last, and since when */
	int64_t ready_ms, initialized_ms;
};

/* --- cis.c: the set of pods --- */
struct pod *cis_find(const struct cis *cis, const char *uid);
/* A new pod in stage TICKET, known from now on; NULL without memory. */
struct pod *cis_add(struct cis *cis, const char *uid, const char *namespace, const char *name);
/* Forgets a pod and frees it, its range and its address. */
void cis_forget(struct pod *pod);
/* Gives a pod a range and an address. ERR_BUSY. */
int cis_assign(struct pod *pod, struct err *err) MUST_CHECK;
/* Checks a ticket for a pod against the running set; payload takes the signed bytes. */
int cis_admit(struct pod *pod, const char *envelope, size_t len, struct buf *payload, struct err *err) MUST_CHECK;
/* What a pod's containers may be reached by, as the network wants it; the caller frees *ret_openings. */
int cis_network_pod(const struct pod *pod, struct network_pod *ret_pod, struct network_opening **ret_openings,
		    struct err *err) MUST_CHECK;
/* The first user id outside of a pod's range. */
uint32_t cis_uid_base(const struct pod *pod);
/* Whether nothing runs or is under way: every pod is refused, finished or drained. */
bool cis_is_idle(const struct cis *cis);
/* Opens network and store, reads the records back; the pods are resumed by cis_resume. */
int cis_open(struct cis *cis, struct err *err) MUST_CHECK;
void cis_resume(struct cis *cis);
/* Removes the parent of the pods' control groups when no pod is on this instance at the moment. */
void cis_trim(struct cis *cis);
/* Takes the bridge, the rules and the parent of the pods' control groups away, once no pod is left on them. */
int cis_withdraw(struct cis *cis, struct err *err) MUST_CHECK;
void cis_close(struct cis *cis);

/* --- podlife.c: from ticket to end --- */
/* What the CISM says of a pod that waits to begin again: charged to this instance still, or not. */
void podlife_listed(struct pod *pod, bool charged);
void podlife_fetch(struct pod *pod);                                   /* asks for the ticket */
void podlife_offer(struct pod *pod, const char *envelope, size_t len); /* has one */
void podlife_resume(struct pod *pod);                                  /* after a restart of the service */
void podlife_delete(struct pod *pod, int64_t grace_s);
void podlife_teardown(struct pod *pod);
void podlife_save(struct pod *pod);  /* containers to the record */
void podlife_drain(struct pod *pod); /* stops it and keeps its record */
/* The supervisor is gone although nobody stopped it. */
void podlife_lost(struct pod *pod);

/* --- podrun.c: containers of a supervised pod --- */
void podrun_advance(struct pod *pod); /* starts what is to be started, settles the pod */
void podrun_event(void *user, const json_t *event);
void podrun_closed(void *user);
void podrun_adopt(struct pod *pod); /* asks the supervisor what runs */
void podrun_kill(struct pod *pod, bool hard);
bool podrun_all_down(const struct pod *pod);
void podrun_restore(struct pod *pod);         /* containers from the record */
json_t *podrun_format(const struct pod *pod); /* containers for the record */

/* --- podjob.c: what blocks, in threads --- */
void podjob_prepare(struct pod *pod, void (*done)(struct pod *pod, const char *reason, const struct err *err));
void podjob_teardown(struct pod *pod, bool keep_volumes, void (*done)(struct pod *pod, const struct err *err));
char *podjob_run_dir(const struct pod *pod);
char *podjob_state_dir(const struct pod *pod);
char *podjob_cgroup(const struct pod *pod);

/* --- podstatus.c: what the CISM is told --- */
json_t *podstatus_build(const struct pod *pod);
void podstatus_changed(struct pod *pod);
/* Tells that the pod is not here and never will be under its uid; done when confirmed. */
void podstatus_stopped(struct cis *cis, const char *uid);
/* An event of the pod; container may be NULL. From any thread. */
void podstatus_event(struct pod *pod, const char *container, const char *type, const char *reason, const char *message);

#endif
