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

/* The inverse of date_of: 31 February rolls over into March. */
static int64_t day_of(int year, int month, int day)
{
	int64_t from_march = month > 2 ? year : year - 1, era = from_march / 400, of_era = from_march % 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool is_date(int year, int month, int day)
{
	int real_year, real_month, real_day;

	if (year < 1970 || month < 1 || month > 12 || day < 1)
		return false;
	date_of(day_of(year, month, day), &real_year, &real_month, &real_day);
	return real_month == month && real_day == day;
}

int clock_parse(const char *stamp, int64_t *ret_wall_ms)
{
	int year, month, day, hour, minute, second, offset, milli = 0, scale = 100;
	const char *at = stamp;

	if (!digits(&at, 4, &year) || !expect(&at, '-') || !digits(&at, 2, &month) || !expect(&at, '-') ||
	    !digits(&at, 2, &day) || !expect(&at, 'T') || !digits(&at, 2, &hour) || !expect(&at, ':') ||
	    !digits(&at, 2, &minute) || !expect(&at, ':') || !digits(&at, 2, &second))
		return -EINVAL;
	if (*at == '.') {
		at++;
		if (!isdigit((unsigned char)*at))
			return -EINVAL;
		for (; isdigit((unsigned char)*at); at++, scale /= 10)
			milli += (*at - '0') * scale;
	}
	if (!zone(at, &offset) || !is_date(year, month, day) || hour > 23 || minute > 59 || second > 59)
		return -EINVAL;
	*ret_wall_ms = ((day_of(year, month, day) * 24 + hour) * 3600 + minute * 60 + second - offset) * 1000 + milli;
	return 0;
}
