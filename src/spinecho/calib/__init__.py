"""Raw to ready: prewhitening, scaling, coil compression, sensitivity maps."""
