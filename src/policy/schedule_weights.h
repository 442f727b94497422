/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance that may take a pod is worth to it; the sum decides, ties go to the one listed first. Stacking beats
 * spreading: the fewer servers a domain is on, the fewer neighbours can reach it. A preference of a pod outweighs that only
 * with a weight above 70, and never what separation forbids; how full an instance is and which images it has decide between
 * those that are worth the same otherwise. docs/placement.md has the table.
 */
#ifndef POLICY_SCHEDULE_WEIGHTS_H
#define POLICY_SCHEDULE_WEIGHTS_H

#define SCHEDULE_WEIGHT_SAME_SERVER 1400  /* the pod's own domain is on the server */
#define SCHEDULE_WEIGHT_SAME_INSTANCE 300 /* and its own sub-function on the instance */
#define SCHEDULE_WEIGHT_USED_SERVER 700   /* the server is in use by anybody */
#define SCHEDULE_WEIGHT_PREFERENCE 20     /* times the weight of each preference that holds, 1 to 100 */
#define SCHEDULE_WEIGHT_TAINT (-1000)     /* each taint PreferNoSchedule that the pod does not tolerate */
#define SCHEDULE_WEIGHT_SPREAD (-140)     /* times how far a preferred spread would be exceeded */
#define SCHEDULE_WEIGHT_SPREAD_MOST (-1400)
#define SCHEDULE_WEIGHT_FULL 9    /* at most, by how full the instance gets */
#define SCHEDULE_WEIGHT_IMAGES 10 /* at most, by the share of the pod's images that are there */

#endif
