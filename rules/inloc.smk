# Datasets whose queries are localized by the 3D points of scans: no map, so rules of their own for the same files.
DENSE = "|".join(map(re.escape, settings.dense_datasets(config))) or "(?!)"


ruleorder: localize_dense > localize
ruleorder: evaluate_dense > evaluate
ruleorder: report_dense > report
ruleorder: publish_dense > publish


rule localize_dense:
    input:
        dataset=ancient(dataset_file),
        pairs="work/{dataset}/{run}/pairs/query.txt",
        found=run_correspondences,
    output:
        poses="work/{dataset}/{run}/poses.txt",
        localization="work/{dataset}/{run}/localization.json",
    log:
        "logs/{dataset}/{run}/localize_dense.log",
    benchmark:
        "benchmarks/{dataset}/{run}/localize_dense.tsv"
    wildcard_constraints:
        dataset=DENSE,
    conda:
        "../envs/colmap.yaml"
    threads: 8
    resources:
        mem_mb=grow_mem_mb,
        runtime="4h",
    params:
        settings=stage("dense_localization"),
        calibration=calibration_digest,
        found=correspondence_options,
    shell:
        "exec trigpoint localize-dense --settings {params.settings:q} --dataset {input.dataset}"
        " --pairs {input.pairs} {params.found} --num-threads {threads}"
        " --output {output.poses} --log {output.localization} > {log} 2>&1"


rule evaluate_dense:
    input:
        dataset=ancient(dataset_file),
        found=run_correspondences,
        poses="work/{dataset}/{run}/poses.txt",
        localization="work/{dataset}/{run}/localization.json",
    output:
        metrics="work/{dataset}/{run}/metrics.json",
    log:
        "logs/{dataset}/{run}/evaluate_dense.log",
    benchmark:
        "benchmarks/{dataset}/{run}/evaluate_dense.tsv"
    wildcard_constraints:
        dataset=DENSE,
    conda:
        "../envs/colmap.yaml"
    resources:
        mem_mb=grow_mem_mb,
    params:
        truth=calibration_digest,
        found=correspondence_options,
        code_version=settings.CODE_VERSIONS["evaluate-dense"],
    shell:
        "exec trigpoint evaluate-dense --dataset {input.dataset} --run {wildcards.run} {params.found}"
        " --poses {input.poses} --localization {input.localization}"
        " --output {output.metrics} > {log} 2>&1"


rule report_dense:
    input:
        dataset=dataset_file,
        metrics=run_metrics,
    output:
        report=directory("work/{dataset}/report"),
    log:
        "logs/{dataset}/report_dense.log",
    benchmark:
        "benchmarks/{dataset}/report_dense.tsv"
    wildcard_constraints:
        dataset=DENSE,
    conda:
        "../envs/colmap.yaml"
    resources:
        mem_mb=grow_mem_mb,
    params:
        settings=report_settings,
        runs=runs_in_report,
        left_out=left_out_options,
    shell:
        'exec trigpoint report-dense --settings {params.settings:q} --commit "$TRIGPOINT_COMMIT"'
        " --dataset {input.dataset} --work work/{wildcards.dataset}"
        " --benchmarks benchmarks/{wildcards.dataset} --runs {params.runs} {params.left_out}"
        " --output {output.report} > {log} 2>&1"


rule publish_dense:
    input:
        report="work/{dataset}/report",
        submissions=run_submissions,
    output:
        results=directory("results/{dataset}"),
    log:
        "logs/{dataset}/publish_dense.log",
    wildcard_constraints:
        dataset=DENSE,
    localrule: True
    conda:
        "../envs/base.yaml"
    shell:
        "exec trigpoint publish --report {input.report} --work work/{wildcards.dataset}"
        " --submissions {input.submissions} --output {output.results} > {log} 2>&1"
