/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HX_SANITISED: whether this is built with AddressSanitizer (1 or 0), whose runtime takes memory
 * and system calls of its own and keeps what was freed. */
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define HX_SANITISED 1
#elif defined(__has_feature) /* clang's */
#if __has_feature(address_sanitizer)
#define HX_SANITISED 1
#endif
#endif
#ifndef HX_SANITISED
#define HX_SANITISED 0
#endif
