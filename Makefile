# Two commands for a newcomer: `make demo` and `make test`. Both set up .venv first.
PY ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PEERS := .venv-peers/.installed
REGISTER := .venv-register/.installed
TORCH := torch==2.13.0
# the tests start hundreds of programs: without kept bytecode each of them compiles the package anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow test-peer test-gpu check check-files docs notebooks gallery wheel-check oldest sbom bench bench-learned bench-register results train-gpu peers samples clean

$(STAMP): pyproject.toml
	$(PY) -m venv .venv
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet -e '.[dev,docs]'
	@touch $(STAMP)

# what it does is said before the set-up, which takes longer than the demo
demo:
	@$(MAKE) -q $(STAMP) || echo "First, once, the set-up: PyTorch and the rest go into .venv (a large download, some" \
	  "minutes). Then the demo, one to two minutes on two cores: sample scans become images, a pair is aligned, an image" \
	  "denoised, and demo-out/report.html shows it all."
	@$(MAKE) --no-print-directory $(STAMP)
	@$(BIN)/spinecho demo --out demo-out

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# what these compare with: apt install bart dicom3tools dcm2niix ismrmrd-tools
test-peer: $(STAMP)
	$(BIN)/python -m pytest -m peer

test-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/house.py

# pages to read in a browser: build/site/index.html; nothing is fetched, and a warning is an error
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open build/site/index.html"

# the examples as notebooks: build/notebooks/NAME.ipynb
notebooks:
	$(PY) tools/make_notebooks.py

# sdist and wheel, built twice, installed in an empty environment and run outside the checkout (downloads torch; minutes)
wheel-check: $(STAMP)
	$(BIN)/python tools/wheel_check.py --torch $(TORCH)

# the oldest versions that pyproject.toml allows, in an environment of their own, and the tests of what stands lowest
OLDEST := .venv-oldest
ORACLES := pytest pytest-timeout pytest-xdist hypothesis beartype psutil scikit-image SimpleITK
LOWEST := $(addprefix tests/,core ops metrics solve io cli/test_frame.py cli/test_parts.py cli/test_option_marks.py)
oldest:
	$(PY) -m venv $(OLDEST)
	$(PY) tools/oldest.py $(TORCH) > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/pip install --quiet $(TORCH)
	$(OLDEST)/bin/pip install --quiet -c $(OLDEST)/constraints.txt -e . $(ORACLES)
	$(OLDEST)/bin/python -m pytest -W ignore::DeprecationWarning $(LOWEST)  # old packages say so of others' new ones

# what an installed spinecho is made of: versions, licences, package addresses (CycloneDX 1.5)
sbom: $(STAMP)
	$(BIN)/python tools/sbom.py build/sbom.json

# 300 damaged files for each reader
check-files: $(STAMP)
	$(BIN)/python tests/hostile/check_files.py 300

$(PEERS): benchmarks/peers.txt
	$(PY) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet -r benchmarks/peers.txt
	.venv-peers/bin/pip install --quiet --no-deps fastmri==0.3.0
	@touch $(PEERS)

peers: $(PEERS)

# beside bart (apt install bart), sigpy and pygrappa; writes benchmarks/RESULTS.md
bench: $(STAMP) $(PEERS)
	$(BIN)/python -m benchmarks

# learned methods beside fastMRI's VarNet, on scans unlike those in training, on the simulated test split; writes
# benchmarks/RESULTS-LEARNED.md (needs ../shared; about 40 minutes on 2 cores)
bench-learned: $(STAMP) $(PEERS)
	$(BIN)/python -m benchmarks.learned_speed
	$(BIN)/python -m benchmarks.simulated
	$(BIN)/python -m benchmarks.robustness

$(REGISTER): benchmarks/peers-register.txt
	$(PY) -m venv .venv-register
	.venv-register/bin/pip install --quiet $(TORCH)
	.venv-register/bin/pip install --quiet -r benchmarks/peers-register.txt
	@touch $(REGISTER)

# registration beside ANTs, greedy, elastix, ConvexAdam and DIPY, pair by pair (needs ../shared; SyN alone takes 7 minutes
# a pair): what is done is kept under runs/register, and the same command goes on; the tables go into docs/results.md
comma := ,
IXI_PEERS := ants greedy elastix convexadam dipy
EVALUATE := $(BIN)/spinecho evaluate register --threads 1 --markdown docs/results.md
external = $(foreach p,$(2),external:$(p)=runs/register/$(1)/$(p))
# $(call made,SET,alike or unlike,PEERS,TITLE): the table of one kind of the pairs that register_pairs makes
made = $(EVALUATE) --pairs runs/register/$(1)/$(1)_$(2).json --methods affine hybrid $(call external,$(1),$(3)) \
  --baseline affine --out runs/register/eval/$(1)_$(2).csv --section 'Registration: $(4)'
bench-register: $(STAMP) $(REGISTER)
	$(BIN)/python -m benchmarks.register_pairs
	$(BIN)/python -m benchmarks.register_peers --set ixi
	$(BIN)/python -m benchmarks.register_peers --set labels
	$(BIN)/python -m benchmarks.register_peers --set warps
	$(EVALUATE) --pairs ixi:../shared/data/ixi_2mm --methods affine voxelmorph hybrid $(call external,ixi,$(IXI_PEERS)) \
	  --baseline greedy --out runs/register/eval/ixi.csv --section 'Registration: IXI test heads'
	$(call made,labels,alike,greedy,rendered heads$(comma) contrasts agree)
	$(call made,labels,unlike,greedy greedy_nmi,rendered heads$(comma) contrasts differ)
	$(call made,warps,alike,greedy,known warps$(comma) contrasts agree)
	$(call made,warps,unlike,greedy greedy_nmi,known warps$(comma) contrasts differ)
	$(BIN)/python -m benchmarks.register_affine

# docs/results.md: real raw slices by all methods and the oracles (needs ../shared and bart; the first run takes an hour)
RESULTS := zero_filled cg_sense l1_wavelet tv unet modl varnet_fast varnet pnp hqs_net checked
MULTICOIL := zero_filled cg_sense l1_wavelet varnet pnp hqs_net hqs_net:mend_maps=True checked
results: $(STAMP)
	$(BIN)/spinecho evaluate --data benchmarks/real_multicoil.json --methods $(MULTICOIL) --baseline l1_wavelet \
	  --accel 4 8 --centre 0.08 0.04 --threads 1 \
	  --report runs/real-multicoil.html --markdown docs/results.md --section 'Real slices, 7 and 4 coils'
	$(BIN)/spinecho evaluate --data benchmarks/real_brains.json --methods $(RESULTS) oracle --baseline l1_wavelet \
	  --accel 4 8 --centre 0.08 0.04 \
	  --report runs/real-brains.html --markdown docs/results.md --section 'Real brain slices, 7 and 4 coils'
	$(BIN)/spinecho evaluate --data benchmarks/real_single_coil.json --methods $(RESULTS) oracle_l1_wavelet \
	  --baseline l1_wavelet --accel 4 --centre 0.08 \
	  --report runs/real-single-coil.html --markdown docs/results.md --section 'Real slices, 1 coil'
	$(BIN)/spinecho evaluate --data sim:10 --sim-coils 8 --labels ../shared/data/label_maps \
	  --methods $(RESULTS) --baseline l1_wavelet --accel 4 8 12 --seeds 0 \
	  --report runs/simulated.html --markdown docs/results.md --section 'Simulated heads, test subjects'

# docs/gallery.md and its pictures: every method on the same slice (needs ../shared; about 10 minutes on 2 idle cores)
gallery: $(STAMP)
	$(BIN)/python -m benchmarks.gallery

# the run that this project could not afford: varnet on one GPU (hours); it goes on where it was stopped, and
# tools/release_weights.py puts runs/varnet-gpu/weights.safetensors into the package
TRAINING := ../shared/data/label_maps ../shared/data/chest ../shared/data/ixi_2mm/t1 ../shared/data/ms_1mm
train-gpu: $(STAMP)
	$(BIN)/spinecho train recon/varnet --data $(TRAINING) --out runs/varnet-gpu --init varnet \
	  --steps 100000 --batch 8 --rate 7e-4 --precision bfloat16 --workers 8 --device cuda

samples: $(STAMP)
	$(BIN)/pip install --quiet -e '.[samples]'
	$(BIN)/python tools/make_samples.py

clean:
	rm -rf .venv .venv-peers .venv-oldest demo-out
