# SPDX-License-Identifier: GPL-2.0-or-later
# How a component is built, here and in a guest: the flags, $(call component,NAME), the objects and
# archives below $(BUILD).

VERSION := 0.1.0

CC ?= gcc
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
CFLAGS_ALL := -std=gnu17 -D_GNU_SOURCE -fPIC -fvisibility=hidden -I. -MMD -MP \
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter \
	-DHELIXVM_VERSION='"$(VERSION)"'
LDFLAGS_ALL := -Wl,--as-needed -Wl,-z,relro -Wl,-z,now -pthread
ifeq ($(CI),true)
CFLAGS_ALL += -Werror
endif
ifdef SANITIZE
CFLAGS_ALL += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer
LDFLAGS_ALL += -fsanitize=$(SANITIZE)
endif
LINK = @mkdir -p $(@D) && echo link $@ && $(CC) $(CFLAGS) $(LDFLAGS_ALL) $(LDFLAGS) -o $@

# What all stand on.
base_PKG := gio-2.0 gio-unix-2.0

# Of NAME_SRC, its sources, and NAME_PKG, the packages that it needs: a folder's main.c makes the
# program; the rest is an archive that its unit tests link too.
define component
$(1)_OBJ := $$($(1)_SRC:%.c=$(BUILD)/obj/%.o)
$(1)_LIB_OBJ := $$(filter-out %/main.o,$$($(1)_OBJ))
$(1)_CFLAGS := $$(shell $(PKG_CONFIG) --cflags $$(base_PKG) $$($(1)_PKG))
$(1)_LIBS := $$(shell $(PKG_CONFIG) --libs $$(base_PKG) $$($(1)_PKG))
$$($(1)_OBJ): COMPONENT_CFLAGS = $$($(1)_CFLAGS)
$(BUILD)/lib/$(1).a: $$($(1)_LIB_OBJ)
	@mkdir -p $$(@D) && rm -f $$@ && ar rcs $$@ $$^
endef

# Flags or names changed: build anew.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D) && echo '$(CC) $(CFLAGS) $(CFLAGS_ALL)' | cmp -s - $@ || \
		echo '$(CC) $(CFLAGS) $(CFLAGS_ALL)' >$@
.PHONY: FORCE

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo cc $< && $(CC) $(CFLAGS_ALL) $(CFLAGS) $(COMPONENT_CFLAGS) -c -o $@ $<
