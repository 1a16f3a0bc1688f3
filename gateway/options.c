// SPDX-License-Identifier: Apache-2.0
//
// options.c: flags, a row each.
#include "gateway/options.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "net/core.h"
#include <stdio.h>

#define BUSY_POLL_US_MAX 1000000
#define REQUESTS_MAX     1000000

struct flag {
    const char *name;
    const char *value; // as the usage shows it; NULL: takes none
    const char *help;
    // `value` is "" for a flag that takes none. False: the value is not understood.
    bool (*set)(struct options *o, const char *value);
};

static bool number(const char *text, uint64_t max, unsigned *ret)
{
    uint64_t n;
    if (slice_to_u64(slice_str(text), &n) < 0 || n > max)
        return false;
    *ret = (unsigned)n;
    return true;
}

static bool set_port(struct options *o, const char *value)
{
    return number(value, 65535, &o->port);
}

static bool set_host(struct options *o, const char *value)
{
    o->host = value;
    return true;
}

static bool set_app_dir(struct options *o, const char *value)
{
    int n = snprintf(o->app_dir, sizeof(o->app_dir), "%s", value);
    return n > 0 && (size_t)n < sizeof(o->app_dir);
}

static bool set_shared_dir(struct options *o, const char *value)
{
    o->shared_dir = value;
    return value[0] != '\0';
}

static bool set_log_level(struct options *o, const char *value)
{
    int level = log_level_parse(slice_str(value));
    if (level >= 0)
        o->log_level = (enum log_level)level;
    return level >= 0;
}

static bool set_log_style(struct options *o, const char *value)
{
    bool pretty = strcmp(value, "pretty") == 0;
    o->log_style = pretty ? LOG_PRETTY : LOG_JSON;
    return pretty || strcmp(value, "json") == 0;
}

static bool set_cores(struct options *o, const char *value)
{
    return number(value, CORES_MAX, &o->cores) && o->cores > 0;
}

static bool set_requests(struct options *o, const char *value)
{
    return number(value, REQUESTS_MAX, &o->requests_max) && o->requests_max > 0;
}

static bool set_busy_poll(struct options *o, const char *value)
{
    return number(value, BUSY_POLL_US_MAX, &o->busy_poll_us);
}

static bool set_ring_features(struct options *o, const char *value)
{
    o->only_6_1 = strcmp(value, "6.1") == 0;
    return o->only_6_1 || strcmp(value, "all") == 0;
}

static bool set_check_config(struct options *o, const char *value)
{
    (void)value;
    return o->check_config = true;
}

static bool set_allow_unenforced(struct options *o, const char *value)
{
    (void)value;
    return o->allow_unenforced = true;
}

static bool set_core_dumps(struct options *o, const char *value)
{
    (void)value;
    return o->core_dumps = true;
}

static bool set_version(struct options *o, const char *value)
{
    (void)value;
    return o->version = true;
}

static bool set_help(struct options *o, const char *value)
{
    (void)value;
    return o->help = true;
}

static const struct flag flags[] = {
    {"port", "N", "port to listen on (8080); 0 takes a free one and logs it", set_port},
    {"host", "ADDR", "address to listen on (localhost, or BIFROST_HOST)", set_host},
    {"app-dir", "DIR", "where config.json lies (~/.config/bifrost)", set_app_dir},
    {"shared-dir", "DIR", "what lives in memory beyond the process (a folder in /dev/shm)",
     set_shared_dir},
    {"log-level", "LEVEL", "debug, info, warn or error (info, or LOG_LEVEL)", set_log_level},
    {"log-style", "STYLE", "json or pretty (json)", set_log_style},
    {"cores", "N", "loop threads (as many as the process may run on)", set_cores},
    {"requests-max", "N",
     "requests at once on a core, beyond it 503 (as many as the machine allows)", set_requests},
    {"busy-poll-us", "N", "spin this long before sleeping (0)", set_busy_poll},
    {"ring-features", "6.1", "use nothing newer than Linux 6.1 has", set_ring_features},
    {"check-config", NULL, "read the configuration, say what is wrong, and end", set_check_config},
    {"allow-unenforced", NULL, "start although the file restricts access in ways not enforced yet",
     set_allow_unenforced},
    {"core-dumps", NULL, "leave core dumps and debuggers possible: secrets are in this memory",
     set_core_dumps},
    {"version", NULL, "print the version", set_version},
    {"help", NULL, "print this", set_help},
};

void options_usage(FILE *out)
{
    fprintf(out, "usage: ringgate [flags]\n"
                 "       ringgate backup DIR [-app-dir DIR]   copy the store, also of a gateway "
                 "that runs\n"
                 "       ringgate repair [-app-dir DIR]       make a store of what can be read of "
                 "a damaged one\n");
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const struct flag *f = &flags[i];
        int width =
            fprintf(out, "  -%s%s%s", f->name, f->value ? " " : "", f->value ? f->value : "");
        fprintf(out, "%*s%s\n", width < 22 ? 22 - width : 1, "", f->help);
    }
}

static const struct flag *find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (slice_eq(slice_str(flags[i].name), name))
            return &flags[i];
    }
    return NULL;
}

// Reads argv[i] and, when its value is the next word, that. Returns how many words, or ERR_CONFIG.
static int read_flag(struct options *o, const char *word, const char *next, char *ret_error)
{
    const char *text = word;
    for (unsigned dashes = 0; dashes < 2 && *text == '-'; dashes++)
        text++;
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    const struct flag *f = text > word ? find(slice_of(text, len)) : NULL;
    const char *value = equals != NULL ? equals + 1 : next;
    int words = equals == NULL && f != NULL && f->value != NULL ? 2 : 1;
    const char *wrong = NULL;
    if (f == NULL)
        wrong = "unknown flag";
    else if (f->value == NULL && equals != NULL)
        wrong = "this flag takes no value";
    else if (f->value != NULL && value == NULL)
        wrong = "a value is missing";
    else if (!f->set(o, f->value != NULL ? value : ""))
        wrong = "value not understood";
    if (wrong == NULL)
        return words;
    snprintf(ret_error, OPTIONS_ERROR_BYTES, "%s: %s (see ringgate -help)", word, wrong);
    return ERR_CONFIG;
}

// Where os.UserConfigDir of Bifrost's runtime looks: XDG_CONFIG_HOME, else ~/.config.
static void default_app_dir(struct options *o, options_getenv_fn environment)
{
    const char *config = environment("XDG_CONFIG_HOME");
    const char *home = environment("HOME");
    if (config != NULL && config[0] == '/')
        snprintf(o->app_dir, sizeof(o->app_dir), "%s/bifrost", config);
    else if (home != NULL && home[0] != '\0')
        snprintf(o->app_dir, sizeof(o->app_dir), "%s/.config/bifrost", home);
    else
        snprintf(o->app_dir, sizeof(o->app_dir), ".");
}

int options_parse(struct options *ret, int argc, char *const *argv, options_getenv_fn environment,
                  char ret_error[OPTIONS_ERROR_BYTES])
{
    ASSERT(argc >= 0 && environment != NULL);
    struct options o = {.host = "localhost", .port = 8080, .log_level = LOG_INFO};
    const char *host = environment("BIFROST_HOST");
    const char *level = environment("LOG_LEVEL");
    if (host != NULL && host[0] != '\0')
        o.host = host;
    if (level != NULL && level[0] != '\0' && !set_log_level(&o, level)) {
        snprintf(ret_error, OPTIONS_ERROR_BYTES, "LOG_LEVEL=%s: value not understood", level);
        return ERR_CONFIG;
    }
    default_app_dir(&o, environment);
    for (int i = 1; i < argc;) {
        int words = read_flag(&o, argv[i], i + 1 < argc ? argv[i + 1] : NULL, ret_error);
        if (words < 0)
            return words;
        i += words;
    }
    *ret = o;
    return 0;
}
