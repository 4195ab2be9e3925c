"""How Sphinx builds the site: ``python -m sphinx -W docs FOLDER``. No network is needed.

The pages are Markdown that reads as well on a code host. What is made for the site alone is made
here: links from names in code to the reference, and the gallery of the examples.
"""

from __future__ import annotations

import atexit
import random
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
import tqdm.auto
from deap import creator
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.ext import intersphinx
from sphinx.transforms import SphinxTransform

import deap_valp

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"

matplotlib.use("Agg")

project = "deap_valp"
author = "the deap_valp authors"
release = version = deap_valp.__version__
copyright = "2026, " + author

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.mermaid",
]
templates_path = ["_templates"]
exclude_patterns = ["_templates", "CITATION.cff"]
suppress_warnings = [
    "config.cache",  # the gallery is configured by functions, which Sphinx cannot keep
]

html_theme = "furo"
html_title = f"deap_valp {release}"
html_static_path = ["images"]
html_show_sphinx = False

myst_heading_anchors = 4  # links to headings, as code hosts make them
myst_fence_as_directive = ["mermaid"]
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_ivar = True  # a documented attribute and a field of its class are one
napoleon_use_rtype = False

# Inventories of the names that our docstrings and pages mention, kept here as text: intersphinx
# would fetch the whole of them from the network.
HOSTS = {
    "deap": "https://deap.readthedocs.io/en/master/",
    "matplotlib": "https://matplotlib.org/stable/",
    "networkx": "https://networkx.org/documentation/stable/",
    "numpy": "https://numpy.org/doc/stable/",
    "python": "https://docs.python.org/3/",
    "torch": "https://docs.pytorch.org/docs/stable/",
}
intersphinx_mapping = {name: (url, f"inventories/{name}.inv") for name, url in HOSTS.items()}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


# ---- names in code -------------------------------------------------------------------------------

# Public names that are plain words too. In code they mean the function only behind `valp.`.
WORDS = {
    "check",
    "decisions",
    "genealogy",
    "graded",
    "metric",
    "operator",
    "operators",
    "payoff",
    "plots",
    "problems",
    "rank",
    "rule",
    "statistics",
}
SHORT = {  # how our pages write the names of others
    "algorithms.": "deap.algorithms.",
    "base.": "deap.base.",
    "creator.": "deap.creator.",
    "tools.": "deap.tools.",
}
CALL = re.compile(r"([A-Za-z_][\w.]*)(?:\(.*\))?", flags=re.DOTALL)


def targets() -> dict[str, str]:
    """Return the full name of everything that a name in code may link to."""
    found = {}
    for name in deap_valp.__all__:
        found[f"valp.{name}"] = f"deap_valp.{name}"
        if name not in WORDS:
            found[name] = f"deap_valp.{name}"
    for name in deap_valp.plots.__all__:
        for prefix in ("", "plots.", "valp.plots."):
            found[prefix + name] = f"deap_valp.plots.{name}"
    for name in ("digits", "mnist", "fashion_mnist", "by_name"):
        for prefix in ("problems.", "valp.problems."):
            found[prefix + name] = f"deap_valp.problems.{name}"
    for inventory in DOCS.glob("inventories/*.inv"):
        for line in inventory.read_text().splitlines()[3:]:
            name = line.partition(" ")[0]
            if "." in name:
                found[name] = name
    for short, long in SHORT.items():
        found |= {short + n.removeprefix(long): n for n in found.values() if n.startswith(long)}
    return found


TARGETS = targets()


class LinkNames(SphinxTransform):
    """Links names in code to the reference, and names of examples to the gallery."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        for literal in list(self.document.findall(nodes.literal)):
            if isinstance(literal.parent, (nodes.title, nodes.reference, pending_xref)):
                continue
            link = self.link_of(literal.astext())
            if link is not None:
                literal.replace_self(link)
                link += literal

    def link_of(self, code: str) -> pending_xref | None:
        """Return a link without its text, or None where the code names nothing that is known."""
        if code.startswith("examples/") and Path(code).stem in SHOWN:
            page = f"/gallery/{Path(code).stem}"
            return pending_xref(
                refdomain="std", reftype="doc", reftarget=page, refexplicit=True, refwarn=True
            )
        call = CALL.fullmatch(code)
        if call is None or call[1] not in TARGETS:
            return None
        return pending_xref(refdomain="py", reftype="obj", reftarget=TARGETS[call[1]])


# Classes of other packages by their plain names, which type hints may be all there is of.
CLASSES = {name.rpartition(".")[2]: name for name in TARGETS.values() if "deap_valp" not in name}


def by_its_last_name(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """Resolve a class under the module that defines it, or without one, to its public name."""
    name = node.get("reftarget", "").rpartition(".")[2]
    if node.get("refdomain") != "py":
        return None
    if name in deap_valp.__all__:
        return env.domains["py"].resolve_xref(
            env, node["refdoc"], app.builder, "obj", f"deap_valp.{name}", node, content
        )
    if name in CLASSES and name[0].isupper():
        node["reftarget"] = CLASSES[name]
        return intersphinx.missing_reference(app, env, node, content)
    return None


# ---- pages ---------------------------------------------------------------------------------------

# Links that lead elsewhere on a code host.
LINKS = {
    "](../README.md": "](index.md",
    "](../../README.md": "](../index.md",
    "](decisions/)": "](decisions/index.md)",
    "](../CHANGELOG.md)": "](changelog.md)",
    "](CHANGELOG.md)": "](docs/changelog.md)",
    "](docs/decisions/)": "](docs/decisions/index.md)",
    "[MIT](LICENSE)": "MIT",
    "[docs/CITATION.cff](docs/CITATION.cff)": "`docs/CITATION.cff`",
}


def for_the_site(app: Sphinx, page: str, source: list[str]) -> None:
    """Turn links to what is no page of the site into links to what is."""
    for host, here in LINKS.items():
        source[0] = source[0].replace(host, here)


def included_for_the_site(app: Sphinx, file: Path, page: str, source: list[str]) -> None:
    """Do the same in a file that a page includes."""
    for_the_site(app, page, source)


# ---- gallery -------------------------------------------------------------------------------------

SHOWN = {  # scripts in their order, with their titles
    "quickstart": "Quickstart: one model for three tasks",
    "five_lines": "Five lines, and an estimator",
    "own_data": "A problem on your own tables",
    "predict_and_export": "Predictions for new data, and one file",
    "images": "Images as images",
    "own_rule": "A rule of your own",
    "own_network": "A kind of sub-network of your own",
    "own_operator": "An operator of your own",
    "missing_values": "Missing values and targets",
    "nsga2_fashion_mnist": "DEAP's NSGA-II on Fashion-MNIST",
    "hill_climbing_fashion_mnist": "The paper's experiment on Fashion-MNIST",
    "compare_with_classic_neuroevolution": "Beside classic neuroevolution",
    "suite": "The search on many problems",
}
RUN = list(SHOWN)[:8]  # those that need no files and a minute at most

HEADER = """Examples
========

Scripts that tell a story each, from the folder ``examples/``, with what they print and draw.
"""

# The scripts write files to where they are, so they run as copies.
copies = Path(tempfile.mkdtemp(prefix="deap_valp_gallery_"))
atexit.register(shutil.rmtree, copies, ignore_errors=True)
(copies / "README.rst").write_text(HEADER)
for name, title in SHOWN.items():
    script = (EXAMPLES / f"{name}.py").read_text()
    titled = script.replace('"""', f'"""{title}\n{"=" * len(title)}\n\n', 1)
    (copies / f"{name}.py").write_text(titled)

CREATED = set(vars(creator))


class NoBar(tqdm.std.tqdm):
    """A progress bar that is not drawn, since it would fill what the examples print."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **{**kwargs, "disable": True})


tqdm.auto.tqdm = NoBar


def as_in_a_process_of_its_own(gallery: dict[str, Any], file: str) -> None:
    """Forget what an earlier example registered and created."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "deap_valp":
            del sys.modules[name]
    for name in set(vars(creator)) - CREATED:
        delattr(creator, name)
    random.seed(0)


def in_order(file: str) -> int:
    """Return the place of an example in the gallery."""
    return list(SHOWN).index(Path(file).stem)


sphinx_gallery_conf = {
    "examples_dirs": str(copies),
    "gallery_dirs": "gallery",
    "filename_pattern": rf"/(?:{'|'.join(RUN)})\.py",
    "within_subsection_order": in_order,
    "reset_modules": ("matplotlib", as_in_a_process_of_its_own),
    "copyfile_regex": "",
    "remove_config_comments": True,
    "doc_module": ("deap_valp",),
    "write_computation_times": False,
    "download_all_examples": False,
    "show_signature": False,
    "abort_on_example_error": True,
}


def made_by_scikit_learn(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """Leave out the methods that scikit-learn gives every estimator for its metadata routing."""
    return True if re.fullmatch(r"set_\w+_request|get_metadata_routing", name) else None


def setup(app: Sphinx) -> None:
    """Add what stands above to the build."""
    app.add_transform(LinkNames)
    app.connect("source-read", for_the_site)
    app.connect("include-read", included_for_the_site)
    app.connect("missing-reference", by_its_last_name)
    app.connect("autodoc-skip-member", made_by_scikit_learn)
