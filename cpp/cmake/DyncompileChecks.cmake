# Warnings and sanitizers, as DYNCOMPILE_WARNINGS and DYNCOMPILE_SANITIZE say.

# Adds them to a target; `scope` is PUBLIC if what links it needs the sanitizers too.
function(dyncompile_add_checks target scope)
  if(DYNCOMPILE_WARNINGS AND MSVC)
    target_compile_options(${target} PRIVATE /W4 /permissive-)
  elseif(DYNCOMPILE_WARNINGS)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  endif()
  set(sanitizers ${DYNCOMPILE_SANITIZE})
  if(DYNCOMPILE_BUILD_FUZZERS)
    list(APPEND sanitizers fuzzer-no-link)
  endif()
  if(sanitizers)
    list(JOIN sanitizers "," sanitizers)
    target_compile_options(${target} ${scope} "-fsanitize=${sanitizers}" -fno-omit-frame-pointer
                                              -fno-sanitize-recover=all)
    target_link_options(${target} ${scope} "-fsanitize=${sanitizers}")
  endif()
endfunction()
