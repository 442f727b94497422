/* SPDX-License-Identifier: Apache-2.0 */
/* What all kinds share: metadata, selectors, options, Status. */
#include "api/messages.h"

static const char *const selector_operators[] = {"In", "NotIn", "Exists", "DoesNotExist", NULL};
static const char *const condition_statuses[] = {"True", "False", "Unknown", NULL};
static const char *const propagation_policies[] = {"Orphan", "Background", "Foreground", NULL};
static const char *const dry_runs[] = {"All", NULL};

static const struct api_field owner_reference[] = {
	{"apiVersion", 5, STRING, REQUIRED},
	{"kind", 1, STRING, REQUIRED},
	{"name", 3, STRING, REQUIRED},
	{"uid", 4, STRING, REQUIRED},
	{"controller", 6, BOOL, POINTER},
	{"blockOwnerDeletion", 7, BOOL, POINTER},
	{0},
};
API_MESSAGE(owner_reference, META_V1 "OwnerReference");

static const struct api_field managed_fields_entry[] = {
	{"manager", 1, STRING},     {"operation", 2, STRING},
	{"apiVersion", 3, STRING},  {"time", 4, TIME, POINTER},
	{"fieldsType", 6, STRING},  {"fieldsV1", 7, ANY, POINTER},
	{"subresource", 8, STRING}, {0},
};
API_MESSAGE(managed_fields_entry, META_V1 "ManagedFieldsEntry");

static const struct api_field object_meta[] = {
	{"name", 1, STRING, IMMUTABLE, .most = 253, .doc = "The name, unique among its kind in a namespace."},
	{"generateName", 2, STRING, .most = 253, .doc = "The beginning of a name that the server makes unique."},
	{"namespace", 3, STRING, IMMUTABLE, .check = API_CHECK_LABEL, .doc = "The namespace."},
	{"selfLink", 4, STRING},
	{"uid", 5, STRING, IMMUTABLE, .doc = "Unique for ever; made by the server."},
	{"resourceVersion", 6, STRING, .doc = "Changes with each change of the object."},
	{"generation", 7, INT64, .doc = "Changes with each change of the specification."},
	{"creationTimestamp", 8, TIME, IMMUTABLE, .doc = "When it was made."},
	{"deletionTimestamp", 9, TIME, POINTER, .doc = "When it is to be gone."},
	{"deletionGracePeriodSeconds", 10, INT64, POINTER, .doc = "How long it may take to end."},
	{"labels", 11, STRING, MAP, .check = API_CHECK_LABELS, .doc = "Words to choose objects by."},
	{"annotations", 12, STRING, MAP, .check = API_CHECK_ANNOTATIONS, .doc = "Words about the object."},
	{"ownerReferences", 13, OBJECT, LIST | MERGE, .of = &api_m_owner_reference, .merge_key = "uid",
	 .doc = "Objects it belongs to."},
	{"finalizers", 14, STRING, LIST | MERGE | SET, .doc = "Who must agree before it is gone."},
	{"managedFields", 17, OBJECT, LIST | ATOMIC, .of = &api_m_managed_fields_entry,
	 .doc = "Who manages which field."},
	{0},
};
API_MESSAGE(object_meta, META_V1 "ObjectMeta", .doc = "What identifies an object and what is said about it.");

static const struct api_field list_meta[] = {
	{"selfLink", 1, STRING},
	{"resourceVersion", 2, STRING},
	{"continue", 3, STRING},
	{"remainingItemCount", 4, INT64, POINTER},
	{0},
};
API_MESSAGE(list_meta, META_V1 "ListMeta");

static const struct api_field label_selector_requirement[] = {
	{"key", 1, STRING, REQUIRED, .check = API_CHECK_LABEL_KEY},
	{"operator", 2, STRING, REQUIRED, .words = selector_operators},
	{"values", 3, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(label_selector_requirement, META_V1 "LabelSelectorRequirement", .check = api_hook_requirement_check);

static const struct api_field label_selector[] = {
	{"matchLabels", 1, STRING, MAP, .check = API_CHECK_LABELS},
	{"matchExpressions", 2, OBJECT, LIST | ATOMIC, .of = &api_m_label_selector_requirement},
	{0},
};
API_MESSAGE(label_selector, META_V1 "LabelSelector", .doc = "A choice of objects by their labels.");

static const struct api_field field_selector_requirement[] = {
	{"key", 1, STRING, REQUIRED},
	{"operator", 2, STRING, REQUIRED, .words = selector_operators},
	{"values", 3, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(field_selector_requirement, META_V1 "FieldSelectorRequirement");

static const struct api_field condition[] = {
	{"type", 1, STRING, REQUIRED},
	{"status", 2, STRING, REQUIRED, .words = condition_statuses},
	{"observedGeneration", 3, INT64},
	{"lastTransitionTime", 4, TIME, REQUIRED},
	{"reason", 5, STRING, REQUIRED, .most = 1024},
	{"message", 6, STRING, .most = 32768},
	{0},
};
API_MESSAGE(condition, META_V1 "Condition");

static const struct api_field preconditions[] = {
	{"uid", 1, STRING, POINTER},
	{"resourceVersion", 2, STRING, POINTER},
	{0},
};
API_MESSAGE(preconditions, META_V1 "Preconditions");

static const struct api_field delete_options[] = {
	{"gracePeriodSeconds", 1, INT64, POINTER, .check = API_CHECK_NOT_NEGATIVE},
	{"preconditions", 2, OBJECT, POINTER, .of = &api_m_preconditions},
	{"orphanDependents", 3, BOOL, POINTER},
	{"propagationPolicy", 4, STRING, POINTER, .words = propagation_policies},
	{"dryRun", 5, STRING, LIST | ATOMIC, .words = dry_runs},
	{"ignoreStoreReadErrorWithClusterBreakingPotential", 6, BOOL, POINTER},
	{0},
};
API_MESSAGE(delete_options, META_V1 "DeleteOptions");

static const struct api_field eviction[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"deleteOptions", 2, OBJECT, POINTER, .of = &api_m_delete_options},
	{0},
};
API_MESSAGE(eviction, POLICY_V1 "Eviction");

static const struct api_field status_cause[] = {
	{"reason", 1, STRING},
	{"message", 2, STRING},
	{"field", 3, STRING},
	{0},
};
API_MESSAGE(status_cause, META_V1 "StatusCause");

static const struct api_field status_details[] = {
	{"name", 1, STRING},
	{"group", 2, STRING},
	{"kind", 3, STRING},
	{"uid", 6, STRING},
	{"causes", 4, OBJECT, LIST | ATOMIC, .of = &api_m_status_cause},
	{"retryAfterSeconds", 5, INT32},
	{0},
};
API_MESSAGE(status_details, META_V1 "StatusDetails");

static const struct api_field status[] = {
	{"metadata", 1, OBJECT, .of = &api_m_list_meta},
	{"status", 2, STRING},
	{"message", 3, STRING},
	{"reason", 4, STRING},
	{"details", 5, OBJECT, POINTER | ATOMIC, .of = &api_m_status_details},
	{"code", 6, INT32},
	{0},
};
API_MESSAGE(status, META_V1 "Status");
