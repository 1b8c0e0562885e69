"""The parts of rigid and affine registration: views of an image, similarities, the climb, where to start, doubts."""
