/* SPDX-License-Identifier: Apache-2.0 */
/* trust.bulkhead.dev/v1: what may stand beside what, and what may talk to what. */
#include "api/messages.h"

static const char *const isolations[] = {"Container", "VM", "Dedicated", NULL};
static const char *const deployments[] = {"BareMetal", "Nested", "Hybrid", NULL};
static const char *const levels[] = {"Instance", "Server", NULL};
static const char *const protocols[] = {"TCP", "UDP", "SCTP", NULL};
static const char *const planes[] = {"User", "Control", "Management", NULL};
static const char *const function_words[] = {"Same", "Different", NULL};
static const char *const violation_words[] = {"Report", "Evict", NULL};
static const char *const border_words[] = {"DedicatedServer", "VM", NULL};
static const char *const cache_classes[] = {"Shared", "Encrypted", "Memory", "Never", NULL};

static const struct api_field separation_peer[] = {
	{"domains", 1, STRING, LIST | SET, .check = API_CHECK_SUBDOMAIN, .most = 256,
	 .doc = "Names of the trust domains to keep apart from."},
	{"all", 2, BOOL, .doc = "Keep apart from every other trust domain; excludes domains."},
	{"subFunction", 3, STRING, .check = API_CHECK_LABEL,
	 .doc = "Only the pods of this sub-function of those domains; all pods when absent."},
	{"plane", 4, STRING, .words = planes,
	 .doc = "Only the pods that handle this plane: User, Control or Management."},
	{"interface", 5, STRING, .check = API_CHECK_LABEL,
	 .doc = "Only the pods that offer the interface of this name of those domains."},
	{0},
};
API_MESSAGE(separation_peer, TRUST_V1 "SeparationPeer", .check = api_hook_separation_peer_check,
	    .doc = "The other side of a separation rule.");

static const struct api_field separation_rule[] = {
	{"from", 1, OBJECT, REQUIRED, .of = &api_m_separation_peer, .doc = "Whom to keep apart from."},
	{"subFunction", 2, STRING, .check = API_CHECK_LABEL,
	 .doc = "Only this domain's own pods of this sub-function; all pods when absent."},
	{"level", 3, STRING, REQUIRED, .words = levels,
	 .doc = "What must not be shared: the Instance (one kernel) or the physical Server."},
	{"plane", 4, STRING, .words = planes,
	 .doc = "Only own pods that handle this plane: User, Control or Management."},
	{"interface", 5, STRING, .check = API_CHECK_LABEL,
	 .doc = "Only own pods that offer the interface of this name."},
	{"networkFunctions", 6, STRING, .words = function_words,
	 .doc = "Only pods of the Same network function, or of Different ones; any when absent."},
	{0},
};
API_MESSAGE(separation_rule, TRUST_V1 "SeparationRule", .doc = "One rule on what may not stand together.");

static const struct api_field interface_peer[] = {
	{"domains", 1, STRING, LIST | SET, .check = API_CHECK_SUBDOMAIN, .most = 256,
	 .doc = "Trust domains whose pods may use the interface."},
	{"networks", 2, STRING, LIST | SET, .check = API_CHECK_CIDR, .most = 256,
	 .doc = "Address ranges outside the pod network that may use the interface."},
	{0},
};
API_MESSAGE(interface_peer, TRUST_V1 "InterfacePeer", .doc = "Who may use an interface.");

static const struct api_field interface_port[] = {
	{"protocol", 1, STRING, .words = protocols, .initial = "TCP", .doc = "UDP, TCP or SCTP."},
	{"port", 2, INT32, REQUIRED, .check = API_CHECK_PORT, .doc = "The port on the pods of this domain."},
	{0},
};
API_MESSAGE(interface_port, TRUST_V1 "InterfacePort", .doc = "A port that an interface opens.");

static const struct api_field declared_interface[] = {
	{"name", 1, STRING, REQUIRED, .check = API_CHECK_LABEL, .doc = "The name of the interface, such as \"gm\"."},
	{"from", 2, OBJECT, REQUIRED, .of = &api_m_interface_peer, .doc = "Who may use it."},
	{"subFunction", 3, STRING, .check = API_CHECK_LABEL,
	 .doc = "Only this domain's own pods of this sub-function offer it; all pods when absent."},
	{"ports", 4, OBJECT, LIST | REQUIRED | ATOMIC, .of = &api_m_interface_port, .most = 64,
	 .doc = "What it opens."},
	{"border", 5, STRING, LIST | SET, .words = border_words, .most = 2,
	 .doc = "What the pods that offer it need: a DedicatedServer, shared with such pods alone, a VM, or both."},
	{0},
};
API_MESSAGE(declared_interface, TRUST_V1 "Interface",
	    .doc = "Traffic that may come in from outside the domain; everything else is dropped.");

static const struct api_field sub_function[] = {
	{"name", 1, STRING, REQUIRED, .check = API_CHECK_LABEL, .doc = "The name rules refer to."},
	{"images", 2, STRING, LIST | SET, .most = 256,
	 .doc = "Repositories whose containers belong to it; '*' stands for any run of characters. Any when absent."},
	{"serviceAccounts", 3, STRING, LIST | SET, .most = 256,
	 .doc = "Only pods with one of these service accounts, as namespace/name; '*' as in images. Any when absent."},
	{"plane", 4, STRING, .words = planes,
	 .doc = "What it handles: User, Control or Management traffic. Rules on any plane mean it when absent."},
	{"networkFunction", 5, STRING, .check = API_CHECK_LABEL, .doc = "The network function it is part of."},
	{0},
};
API_MESSAGE(sub_function, TRUST_V1 "SubFunction", .check = api_hook_sub_function_check,
	    .doc = "The platform's map from images and service accounts to a sub-function.");

static const struct api_field cache_rule[] = {
	{"subFunction", 1, STRING, .check = API_CHECK_LABEL, .doc = "The sub-function whose images the rule is for."},
	{"images", 2, STRING, LIST | SET, .most = 256,
	 .doc = "Or the repositories; '*' stands for any run of characters."},
	{"class", 3, STRING, REQUIRED, .words = cache_classes, .doc = "How the instance may keep these images."},
	{0},
};
API_MESSAGE(cache_rule, TRUST_V1 "CacheRule", .check = api_hook_cache_rule_check,
	    .doc = "How images may be kept on the instances.");

static const struct api_field ceiling[] = {
	{"capabilities", 1, STRING, LIST | SET, .check = API_CHECK_CAPABILITY, .most = 64,
	 .doc = "Capabilities that containers may add, without CAP_; none by default."},
	{0},
};
API_MESSAGE(ceiling, TRUST_V1 "Ceiling", .doc = "The most privilege a pod of the domain may ask for.");

static const struct api_field trust_domain_spec[] = {
	{"isolation", 1, STRING, .words = isolations, .initial = "Container",
	 .doc = "How the domain's pods are isolated: Container, VM, or Dedicated (no other domain on the server)."},
	{"separation", 2, OBJECT, LIST | ATOMIC, .of = &api_m_separation_rule, .most = 256,
	 .doc = "From what the domain's pods are kept apart. A rule holds in both directions."},
	{"interfaces", 3, OBJECT, LIST | MERGE, .of = &api_m_declared_interface, .merge_key = "name",
	 .check = API_CHECK_UNIQUE, .most = 256, .doc = "What may come in from outside the domain."},
	{"subFunctions", 4, OBJECT, LIST | MERGE, .of = &api_m_sub_function, .merge_key = "name",
	 .check = API_CHECK_UNIQUE, .most = 256, .doc = "Which images make up which sub-function."},
	{"cache", 5, OBJECT, LIST | ATOMIC, .of = &api_m_cache_rule, .most = 256, .doc = "How images may be cached."},
	{"ceiling", 6, OBJECT, .of = &api_m_ceiling, .doc = "The most privilege a pod may ask for."},
	{"serverQuota", 7, INT32, .check = API_CHECK_POSITIVE,
	 .doc = "The most physical servers that pods of the domain may be on; any number when absent."},
	{"onViolation", 8, STRING, .words = violation_words,
	 .doc = "What becomes of pods that must be apart and are not any more, after a move or a change of rules: "
		"Report "
		"(when absent) or Evict."},
	{0},
};
API_MESSAGE(trust_domain_spec, TRUST_V1 "TrustDomainSpec", .doc = "The rules of a trust domain.");

static const struct api_field join_token_spec[] = {
	{"server", 1, STRING, REQUIRED, .check = API_CHECK_LABEL, .doc = "The physical server the instance is on."},
	{"deployment", 2, STRING, REQUIRED, .words = deployments, .doc = "BareMetal, Nested or Hybrid."},
	{"secretSHA256", 3, STRING, REQUIRED,
	 .doc = "SHA-256 of the token's secret, in hex; the secret is kept nowhere."},
	{"expires", 4, STRING, REQUIRED, .doc = "When the token ends, at most a day after it was made."},
	{"replaces", 5, BOOL,
	 .doc = "The machine was installed anew: nothing of an instance that joined under this name before runs any "
		"more."},
	{0},
};
API_MESSAGE(join_token_spec, TRUST_V1 "JoinTokenSpec", .doc = "What a join token is good for.");

static const struct api_field join_token_status[] = {
	{"usedAt", 1, STRING, .doc = "When an instance joined with it: it is good for nothing any more."},
	{"certificateSHA256", 2, STRING, .doc = "The certificate that was issued for it."},
	{0},
};
API_MESSAGE(join_token_status, TRUST_V1 "JoinTokenStatus", .doc = "What became of a join token.");

static const struct api_field join_token[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta, .doc = "The name is that of the instance."},
	{"spec", 2, OBJECT, REQUIRED, .of = &api_m_join_token_spec, .doc = "What it is good for."},
	{"status", 3, OBJECT, .of = &api_m_join_token_status, .doc = "Written by the platform."},
	{0},
};
API_MESSAGE(join_token, TRUST_V1 "JoinToken", .doc = "Lets one instance join, once.");

static const struct api_field trust_domain_status[] = {
	{"observedGeneration", 1, INT64, .doc = "The generation the conditions speak of."},
	{"conditions", 2, OBJECT, LIST | MERGE, .of = &api_m_condition, .merge_key = "type",
	 .doc = "Whether the rules are in force."},
	{0},
};
API_MESSAGE(trust_domain_status, TRUST_V1 "TrustDomainStatus", .doc = "What the platform made of the rules.");

static const struct api_field trust_domain[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta, .doc = "Name, labels and annotations."},
	{"spec", 2, OBJECT, .of = &api_m_trust_domain_spec, .initial = "{}", .doc = "The rules."},
	{"status", 3, OBJECT, .of = &api_m_trust_domain_status, .doc = "Written by the platform."},
	{0},
};
API_MESSAGE(trust_domain, TRUST_V1 "TrustDomain",
	    .doc = "A group of namespaces that trust each other, and what keeps the others away from it.");

static const struct api_field image_policy_spec[] = {
	{"domains", 1, STRING, LIST | SET, .check = API_CHECK_SUBDOMAIN, .most = 256,
	 .doc = "Trust domains whose pods it is for; all when absent."},
	{"default", 2, ANY, LIST | REQUIRED | ATOMIC, .most = 16,
	 .doc = "What images must meet that no scope is for: requirements as in containers-policy.json(5), of type "
		"insecureAcceptAnything, reject or sigstoreSigned (keyData or keyDatas, signedIdentity)."},
	{"transports", 3, ANY,
	 .doc = "\"docker\": scopes (host/repository@digest, host/repository, host/part, host, *.domain, \"\") and "
		"what their "
		"images must meet. The narrowest counts."},
	{0},
};
API_MESSAGE(image_policy_spec, TRUST_V1 "ImagePolicySpec",
	    .doc = "Which keys must have signed which images, in the syntax of containers-policy.json(5).");

static const struct api_field image_policy[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta, .doc = "Name, labels and annotations."},
	{"spec", 2, OBJECT, REQUIRED, .of = &api_m_image_policy_spec, .doc = "The rules."},
	{0},
};
API_MESSAGE(
	image_policy, TRUST_V1 "ImagePolicy",
	.doc = "What images must be signed with before they are started. Every policy that is for a pod's domain must "
	       "be met.");

static const struct api_field quarantine_spec[] = {
	{"instance", 1, STRING, .check = API_CHECK_SUBDOMAIN, .doc = "The instance that is not believed any more."},
	{"server", 2, STRING, .check = API_CHECK_SUBDOMAIN,
	 .doc = "Or the physical server, with every instance on it."},
	{"reason", 3, STRING, REQUIRED, .doc = "Why, for those who read it later."},
	{0},
};
API_MESSAGE(quarantine_spec, TRUST_V1 "QuarantineSpec", .doc = "What is under quarantine.");

static const struct api_field quarantined_instance[] = {
	{"name", 1, STRING, .doc = "The instance."},
	{"epoch", 2, INT64, .doc = "The epoch of its mapping when the quarantine began."},
	{"certificate", 3, STRING, .doc = "The SHA-256 of the certificate it showed then."},
	{"join", 4, INT64, .doc = "The number of its last join then."},
	{0},
};
API_MESSAGE(quarantined_instance, TRUST_V1 "QuarantinedInstance", .doc = "An instance as it was.");

static const struct api_field quarantine_status[] = {
	{"instances", 1, OBJECT, LIST | ATOMIC, .of = &api_m_quarantined_instance,
	 .doc = "Which have to be installed anew."},
	{"conditions", 2, OBJECT, LIST | MERGE, .of = &api_m_condition, .merge_key = "type",
	 .doc = "Why it has not ended yet."},
	{0},
};
API_MESSAGE(quarantine_status, TRUST_V1 "QuarantineStatus", .doc = "What the platform noted.");

static const struct api_field quarantine[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta, .doc = "Named instance.NAME or server.NAME."},
	{"spec", 2, OBJECT, REQUIRED, .of = &api_m_quarantine_spec, .doc = "What is under quarantine."},
	{"status", 3, OBJECT, .of = &api_m_quarantine_status, .doc = "Written by the platform."},
	{0},
};
API_MESSAGE(quarantine, TRUST_V1 "Quarantine",
	    .doc = "An instance or a server that is not believed: it takes nothing new, and what it confirms releases "
		   "nothing. "
		   "Deleted, it ends once the instances are installed anew.");
