/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t clock_monotonic_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t clock_wall_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * The date of a day since 1970 in the Gregorian calendar, counted in years that begin in March. Done here because the C
 * library's way brings its time zones along, a tenth of a small static program.
 */
static void date_of(int64_t day, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t days = day + 719468, era = days / 146097, of_era = days % 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;

	*ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
	*ret_month = (int)(month < 10 ? month + 3 : month - 9);
	*ret_year = (int)(year + era * 400 + (*ret_month <= 2));
}

void clock_format(char to[static CLOCK_STAMP_SIZE], int64_t wall_ms)
{
	const int64_t last = 253402300799; /* of the year 9999 */
	int64_t seconds = wall_ms / 1000;
	int year, month, day, second;

	if (wall_ms < 0 || seconds > last)
		seconds = 0;
	date_of(seconds / 86400, &year, &month, &day);
	second = (int)(seconds % 86400);
	(void)snprintf(to, CLOCK_STAMP_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned int)year % 10000,
		       (unsigned int)month % 100, (unsigned int)day % 100, (unsigned int)second / 3600 % 24,
		       (unsigned int)second / 60 % 60, (unsigned int)second % 60);
}

/* Reads exactly count digits and moves on; false when one is missing. */
static bool digits(const char **at, int count, int *ret_value)
{
	int value = 0;

	while (count--) {
		if (!isdigit((unsigned char)**at))
			return false;
		value = value * 10 + (*(*at)++ - '0');
	}
	*ret_value = value;
	return true;
}

static bool expect(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

/* The zone: 'Z' or +hh:mm, in seconds east of Greenwich, up to the end of the string. */
static bool zone(const char *at, int *ret_offset)
{
	int hours, minutes, sign = *at == '-' ? -1 : 1;

	if (*at == 'Z' && !at[1]) {
		*ret_offset = 0;
		return true;
	}
	if (*at != '+' && *at != '-')
		return false;
	at++;
	if (!digits(&at, 2, &hours) || !expect(&at, ':') || !digits(&at, 2, &minutes) || *at || hours > 23 ||
	    minutes > 59)
		return false;
	*ret_offset = sign * (hours * 3600 + minutes * 60);
	return true;
}

int clock_parse(const char *stamp, int64_t *ret_wall_ms)
{
	struct tm parts = {0}, check;
	int offset, milli = 0, scale = 100;
	const char *at = stamp;
	time_t seconds;

	if (!digits(&at, 4, &parts.tm_year) || !expect(&at, '-') || !digits(&at, 2, &parts.tm_mon) ||
	    !expect(&at, '-') || !digits(&at, 2, &parts.tm_mday) || !expect(&at, 'T') ||
	    !digits(&at, 2, &parts.tm_hour) || !expect(&at, ':') || !digits(&at, 2, &parts.tm_min) ||
	    !expect(&at, ':') || !digits(&at, 2, &parts.tm_sec))
		return -EINVAL;
	if (*at == '.') {
		at++;
		if (!isdigit((unsigned char)*at))
			return -EINVAL;
		for (; isdigit((unsigned char)*at); at++, scale /= 10)
			milli += (*at - '0') * scale;
	}
	if (!zone(at, &offset) || parts.tm_year < 1970)
		return -EINVAL;
	parts.tm_year -= 1900;
	parts.tm_mon -= 1;
	check = parts;
	seconds = timegm(&check);
	/* timegm rolls 31 February over; what rolled was not a date. */
	if (check.tm_mon != parts.tm_mon || check.tm_mday != parts.tm_mday || check.tm_hour != parts.tm_hour ||
	    check.tm_min != parts.tm_min || check.tm_sec != parts.tm_sec)
		return -EINVAL;
	*ret_wall_ms = ((int64_t)seconds - offset) * 1000 + milli;
	return 0;
}
