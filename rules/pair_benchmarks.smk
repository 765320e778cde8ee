# Datasets that are evaluated pair by pair instead of by maps have rules of their own for the same files. What comes
# before is shared: pairs, features and matches, or the raw correspondences of a method of image pairs.
PAIR_BENCHMARK = "|".join(map(re.escape, settings.pair_datasets(config))) or "(?!)"


ruleorder: evaluate_pairs > evaluate
ruleorder: report_pairs > report
ruleorder: publish_pairs > publish


rule evaluate_pairs:
    input:
        dataset=ancient(dataset_file),
        pairs="work/{dataset}/{run}/pairs/map.txt",
        found=run_correspondences,
    output:
        metrics="work/{dataset}/{run}/metrics.json",
        rows="work/{dataset}/{run}/pairs.csv",
    log:
        "logs/{dataset}/{run}/evaluate_pairs.log",
    benchmark:
        "benchmarks/{dataset}/{run}/evaluate_pairs.tsv"
    wildcard_constraints:
        dataset=PAIR_BENCHMARK,
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow_mem_mb,
    params:
        settings=pair_evaluation,
        truth=calibration_digest,
        found=correspondence_options,
    shell:
        "exec trigpoint evaluate-pairs --settings {params.settings:q} --dataset {input.dataset}"
        " --run {wildcards.run} --pairs {input.pairs} {params.found}"
        " --output {output.metrics} --rows {output.rows} > {log} 2>&1"


rule report_pairs:
    input:
        dataset=dataset_file,
        metrics=run_metrics,
        cached=cached_results,
    output:
        report=directory("work/{dataset}/report"),
    log:
        "logs/{dataset}/report_pairs.log",
    benchmark:
        "benchmarks/{dataset}/report_pairs.tsv"
    wildcard_constraints:
        dataset=PAIR_BENCHMARK,
    conda:
        "../envs/colmap.yaml"
    resources:
        mem_mb=grow_mem_mb,
    params:
        settings=report_settings,
        runs=runs_in_report,
        left_out=left_out_options,
        cached=cached_options,
    shell:
        'exec trigpoint report-pairs --settings {params.settings:q} --commit "$TRIGPOINT_COMMIT"'
        " --dataset {input.dataset} --work work/{wildcards.dataset}"
        " --benchmarks benchmarks/{wildcards.dataset} --runs {params.runs} {params.left_out}"
        " {params.cached:q} --output {output.report} > {log} 2>&1"


rule publish_pairs:
    input:
        report="work/{dataset}/report",
    output:
        results=directory("results/{dataset}"),
    log:
        "logs/{dataset}/publish_pairs.log",
    wildcard_constraints:
        dataset=PAIR_BENCHMARK,
    localrule: True
    conda:
        "../envs/base.yaml"
    shell:
        "exec trigpoint publish --report {input.report} --work work/{wildcards.dataset}"
        " --output {output.results} > {log} 2>&1"
