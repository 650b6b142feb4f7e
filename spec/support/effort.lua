--- How often specs repeat what they repeat: less often under the tools that
-- make everything slow (sanitizers, valgrind, a collector that always runs).

local slow = os.getenv "SLUICE_TOOL" or os.getenv "SLUICE_GC"

--- `n`, or a tenth of it when everything is slow.
return function(n)
  return slow and n // 10 or n
end
