/* Which file of cmd/templates goes where. */
#include "new.h"

extern const char template_processor[];
extern const char template_test[];
extern const char template_cmake[];
extern const char template_configuration[];
extern const char template_readme[];
extern const char template_dockerfile[];
extern const char template_gitignore[];
extern const char template_dockerignore[];

const struct template templates[] = {
    {"", true, ".c", template_processor},          {"tests/", true, "_test.c", template_test},
    {"", false, "CMakeLists.txt", template_cmake}, {"", false, "whippet.json", template_configuration},
    {"", false, "README.md", template_readme},     {"", false, "Dockerfile", template_dockerfile},
    {"", false, ".gitignore", template_gitignore}, {"", false, ".dockerignore", template_dockerignore},
};

const size_t template_count = sizeof templates / sizeof templates[0];
