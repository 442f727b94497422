/* SPDX-License-Identifier: Apache-2.0 */
/* Leases, priorities, and the reviews by which a client asks about itself. */
#include "api/messages.h"

static const struct api_field lease_spec[] = {
	{"holderIdentity", 1, STRING, POINTER},
	{"leaseDurationSeconds", 2, INT32, POINTER, .check = API_CHECK_POSITIVE},
	{"acquireTime", 3, MICRO_TIME, POINTER},
	{"renewTime", 4, MICRO_TIME, POINTER},
	{"leaseTransitions", 5, INT32, POINTER, .check = API_CHECK_NOT_NEGATIVE},
	{"strategy", 6, STRING, POINTER},
	{"preferredHolder", 7, STRING, POINTER},
	{0},
};
API_MESSAGE(lease_spec, COORDINATION_V1 "LeaseSpec");

static const struct api_field lease[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"spec", 2, OBJECT, .of = &api_m_lease_spec},
	{0},
};
API_MESSAGE(lease, COORDINATION_V1 "Lease", .doc = "A sign of life that is renewed again and again.");

static const struct api_field field_selector_attributes[] = {
	{"rawSelector", 1, STRING},
	{"requirements", 2, OBJECT, LIST | ATOMIC, .of = &api_m_field_selector_requirement},
	{0},
};
API_MESSAGE(field_selector_attributes, AUTHORIZATION_V1 "FieldSelectorAttributes");

static const struct api_field label_selector_attributes[] = {
	{"rawSelector", 1, STRING},
	{"requirements", 2, OBJECT, LIST | ATOMIC, .of = &api_m_label_selector_requirement},
	{0},
};
API_MESSAGE(label_selector_attributes, AUTHORIZATION_V1 "LabelSelectorAttributes");

static const struct api_field resource_attributes[] = {
	{"namespace", 1, STRING},
	{"verb", 2, STRING},
	{"group", 3, STRING},
	{"version", 4, STRING},
	{"resource", 5, STRING},
	{"subresource", 6, STRING},
	{"name", 7, STRING},
	{"fieldSelector", 8, OBJECT, POINTER, .of = &api_m_field_selector_attributes},
	{"labelSelector", 9, OBJECT, POINTER, .of = &api_m_label_selector_attributes},
	{0},
};
API_MESSAGE(resource_attributes, AUTHORIZATION_V1 "ResourceAttributes");

static const struct api_field non_resource_attributes[] = {
	{"path", 1, STRING},
	{"verb", 2, STRING},
	{0},
};
API_MESSAGE(non_resource_attributes, AUTHORIZATION_V1 "NonResourceAttributes");

static const struct api_field self_subject_access_review_spec[] = {
	{"resourceAttributes", 1, OBJECT, POINTER, .of = &api_m_resource_attributes},
	{"nonResourceAttributes", 2, OBJECT, POINTER, .of = &api_m_non_resource_attributes},
	{0},
};
API_MESSAGE(self_subject_access_review_spec, AUTHORIZATION_V1 "SelfSubjectAccessReviewSpec");

static const struct api_field self_subject_access_review[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"spec", 2, OBJECT, REQUIRED | REQUIRED, .of = &api_m_self_subject_access_review_spec},
	{"status", 3, OBJECT, .of = &api_m_subject_access_review_status},
	{0},
};
API_MESSAGE(self_subject_access_review, AUTHORIZATION_V1 "SelfSubjectAccessReview",
	    .doc = "The question whether the asker may do something.");

static const struct api_field resource_rule[] = {
	{"verbs", 1, STRING, LIST | ATOMIC | REQUIRED},
	{"apiGroups", 2, STRING, LIST | ATOMIC},
	{"resources", 3, STRING, LIST | ATOMIC},
	{"resourceNames", 4, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(resource_rule, AUTHORIZATION_V1 "ResourceRule");

static const struct api_field non_resource_rule[] = {
	{"verbs", 1, STRING, LIST | ATOMIC | REQUIRED},
	{"nonResourceURLs", 2, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(non_resource_rule, AUTHORIZATION_V1 "NonResourceRule");

static const struct api_field subject_rules_review_status[] = {
	{"resourceRules", 1, OBJECT, LIST | ATOMIC, .of = &api_m_resource_rule},
	{"nonResourceRules", 2, OBJECT, LIST | ATOMIC, .of = &api_m_non_resource_rule},
	{"incomplete", 3, BOOL},
	{"evaluationError", 4, STRING},
	{0},
};
API_MESSAGE(subject_rules_review_status, AUTHORIZATION_V1 "SubjectRulesReviewStatus");

static const struct api_field self_subject_rules_review_spec[] = {
	{"namespace", 1, STRING},
	{0},
};
API_MESSAGE(self_subject_rules_review_spec, AUTHORIZATION_V1 "SelfSubjectRulesReviewSpec");

static const struct api_field self_subject_rules_review[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"spec", 2, OBJECT, REQUIRED, .of = &api_m_self_subject_rules_review_spec},
	{"status", 3, OBJECT, .of = &api_m_subject_rules_review_status},
	{0},
};
API_MESSAGE(self_subject_rules_review, AUTHORIZATION_V1 "SelfSubjectRulesReview");

static const struct api_field user_info[] = {
	{"username", 1, STRING},
	{"uid", 2, STRING},
	{"groups", 3, STRING, LIST | ATOMIC},
	{"extra", 4, STRING, LIST | MAP},
	{0},
};
API_MESSAGE(user_info, AUTHENTICATION_V1 "UserInfo");

static const struct api_field self_subject_review[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"status", 2, OBJECT, .of = &api_m_self_subject_review_status},
	{0},
};
API_MESSAGE(self_subject_review, AUTHENTICATION_V1 "SelfSubjectReview", .doc = "The question who the asker is.");

static const char *const preemption_words[] = {"Never", "PreemptLowerPriority", NULL};

static const struct api_field priority_class[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"value", 2, INT32},
	{"globalDefault", 3, BOOL},
	{"description", 4, STRING},
	{"preemptionPolicy", 5, STRING, POINTER, .words = preemption_words},
	{0},
};
API_MESSAGE(priority_class, SCHEDULING_V1 "PriorityClass",
	    .doc = "Which of the pods that wait is placed first. Nothing that runs is stopped for it.");
