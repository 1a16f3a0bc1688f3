// SPDX-License-Identifier: Apache-2.0
//
// anthropic_params_test.c: the fate of every parameter of a request for Claude.
#include "tests/unit/codec/anthropic_desk.h"

#define CHAT      &dialect_openai_chat
#define RESPONSES &dialect_openai_responses

#define ASKS(members) "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]" members "}"
#define GETS_MAX(max, members)                                                                     \
    "{\"model\":\"claude\",\"max_tokens\":" max                                                    \
    ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]" members "}"
#define GETS(members) GETS_MAX("4096", members)

#define TWEAK(function, statement)                                                                 \
    static void function(struct canon_request *r)                                                  \
    {                                                                                              \
        statement;                                                                                 \
    }

TWEAK(hot, r->param[CANON_P_TEMPERATURE] = SLICE("1.7"))
TWEAK(hot_exponent, r->param[CANON_P_TEMPERATURE] = SLICE("20e-1"))
TWEAK(ten, r->param[CANON_P_TEMPERATURE] = SLICE("10"))
TWEAK(one, r->param[CANON_P_TEMPERATURE] = SLICE("1.00"))
TWEAK(exponent, r->param[CANON_P_TEMPERATURE] = SLICE("5e-1"))
TWEAK(stop, r->param[CANON_P_STOP] = SLICE("\"END\""))
TWEAK(tier_auto, r->param[CANON_P_SERVICE_TIER] = SLICE("\"auto\""))
TWEAK(tier_flex, r->param[CANON_P_SERVICE_TIER] = SLICE("\"flex\""))
TWEAK(n_one, r->param[CANON_P_N] = SLICE("1"))
TWEAK(n_two, r->param[CANON_P_N] = SLICE("2"))
TWEAK(n_odd, r->param[CANON_P_N] = SLICE("1.5"))
TWEAK(best_of, r->param[CANON_P_BEST_OF] = SLICE("2"))
TWEAK(suffix, r->param[CANON_P_SUFFIX] = SLICE("\"x\""))
TWEAK(echo, r->param[CANON_P_ECHO] = SLICE("true"))
TWEAK(prompts, r->prompt = SLICE("[\"a\",\"b\"]"))
TWEAK(audio, r->param[CANON_P_AUDIO] = SLICE("{}"))
TWEAK(modal_audio, r->param[CANON_P_MODALITIES] = SLICE("[\"text\",\"audio\"]"))
TWEAK(modal_text, r->param[CANON_P_MODALITIES] = SLICE("[\"text\"]"))
TWEAK(previous, r->param[CANON_P_PREVIOUS_RESPONSE_ID] = SLICE("\"r\""))
TWEAK(conversation, r->param[CANON_P_CONVERSATION] = SLICE("\"c\""))
TWEAK(template, r->param[CANON_P_PROMPT_TEMPLATE] = SLICE("{}"))
TWEAK(background, r->param[CANON_P_BACKGROUND] = SLICE("true"))
TWEAK(foreground, r->param[CANON_P_BACKGROUND] = SLICE("false"))
TWEAK(verbosity, r->param[CANON_P_VERBOSITY] = SLICE("\"low\""))

static void quiet(struct canon_request *r)
{
    static const enum canon_param params[] = {
        CANON_P_STORE,          CANON_P_PROMPT_CACHE_KEY,  CANON_P_PROMPT_CACHE_RETENTION,
        CANON_P_INCLUDE,        CANON_P_SAFETY_IDENTIFIER, CANON_P_TRUNCATION,
        CANON_P_MAX_TOOL_CALLS,
    };
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        r->param[params[i]] = SLICE("1");
}

static void loud(struct canon_request *r)
{
    static const enum canon_param params[] = {
        CANON_P_PREDICTION, CANON_P_METADATA,          CANON_P_TOP_LOGPROBS,
        CANON_P_LOGPROBS,   CANON_P_PRESENCE_PENALTY,  CANON_P_LOGIT_BIAS,
        CANON_P_SEED,       CANON_P_FREQUENCY_PENALTY,
    };
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        r->param[params[i]] = SLICE("1");
}

static void no_logprobs(struct canon_request *r)
{
    r->param[CANON_P_LOGPROBS] = SLICE("false");
}

static const struct request_case cases[] = {
    // Parameters, in their order.
    {"{\"cache_control\":{},\"service_tier\":\"standard_only\",\"metadata\":{\"user_id\":\"u\"},"
     "\"stream\":true,\"stop_sequences\":[\"E\"],\"top_k\":4,\"top_p\":0.90,\"temperature\":0.5,"
     "\"max_tokens\":7,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
     CHAT, NULL,
     GETS_MAX("7", ",\"temperature\":0.5,\"top_p\":0.90,\"top_k\":4,\"stop_sequences\":[\"E\"],"
                   "\"metadata\":{\"user_id\":\"u\"},\"service_tier\":\"standard_only\","
                   "\"cache_control\":{},\"stream\":true"),
     NULL},
    {ASKS(), CHAT, hot, GETS(",\"temperature\":1"), NULL},
    {ASKS(), CHAT, hot_exponent, GETS(",\"temperature\":1"), NULL},
    {ASKS(), CHAT, ten, GETS(",\"temperature\":1"), NULL},
    {ASKS(), CHAT, one, GETS(",\"temperature\":1.00"), NULL},
    {ASKS(), CHAT, exponent, GETS(",\"temperature\":5e-1"), NULL},
    {ASKS(), CHAT, stop, GETS(",\"stop_sequences\":[\"END\"]"), NULL},
    {ASKS(), CHAT, tier_auto, GETS(",\"service_tier\":\"auto\""), NULL},
    {ASKS(), CHAT, tier_flex, GETS(), "service_tier"},
    {ASKS(), CHAT, quiet, GETS(), NULL},
    {ASKS(), CHAT, loud, GETS(),
     "seed frequency_penalty presence_penalty logit_bias logprobs top_logprobs metadata "
     "prediction"},
    {ASKS(), CHAT, no_logprobs, GETS(), NULL},
    {ASKS(), CHAT, verbosity, GETS(), "verbosity"},
    {ASKS(), RESPONSES, verbosity, GETS(), "text.verbosity"},
    {ASKS(",\"container\":\"c\",\"mcp_servers\":[],\"context_management\":{}"), CHAT, NULL, GETS(),
     "context_management mcp_servers container"},
    {ASKS(",\"container\":\"c\",\"mcp_servers\":[],\"context_management\":{}"), NULL, NULL,
     GETS(",\"context_management\":{},\"mcp_servers\":[],\"container\":\"c\""), NULL},
    // What changes what the client gets.
    {ASKS(), CHAT, n_one, GETS(), NULL},
    {ASKS(), CHAT, n_two, NULL, "n"},
    {ASKS(), CHAT, n_odd, NULL, "n"},
    {ASKS(), CHAT, best_of, NULL, "best_of"},
    {ASKS(), CHAT, suffix, NULL, "suffix"},
    {ASKS(), CHAT, echo, NULL, "echo"},
    {ASKS(), CHAT, prompts, NULL, "prompt"},
    {ASKS(), CHAT, audio, NULL, "audio"},
    {ASKS(), CHAT, modal_audio, NULL, "modalities"},
    {ASKS(), CHAT, modal_text, GETS(), NULL},
    {ASKS(), RESPONSES, previous, NULL, "previous_response_id"},
    {ASKS(), RESPONSES, conversation, NULL, "conversation"},
    {ASKS(), RESPONSES, template, NULL, "prompt"},
    {ASKS(), RESPONSES, background, NULL, "background"},
    {ASKS(), RESPONSES, foreground, GETS(), NULL},
};

static void every_parameter_has_a_fate(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_request(&cases[i], anthropic__write_request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_parameter_has_a_fate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
