rule report:
    input:
        dataset=dataset_file,
        metrics=run_metrics,
    output:
        report=directory("work/{dataset}/report"),
    log:
        "logs/{dataset}/report.log",
    benchmark:
        "benchmarks/{dataset}/report.tsv"
    conda:
        "../envs/colmap.yaml"
    resources:
        mem_mb=memory_of("report"),
    params:
        settings=report_settings,
        runs=runs_in_report,
        left_out=left_out_options,
    shell:
        'exec trigpoint report --settings {params.settings:q} --commit "$TRIGPOINT_COMMIT"'
        " --dataset {input.dataset} --work work/{wildcards.dataset}"
        " --benchmarks benchmarks/{wildcards.dataset} --runs {params.runs} {params.left_out}"
        " --output {output.report} > {log} 2>&1"


rule publish:
    input:
        report="work/{dataset}/report",
        submissions=run_submissions,
    output:
        results=directory("results/{dataset}"),
    log:
        "logs/{dataset}/publish.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        runs=runs_in_report,
    shell:
        "exec trigpoint publish --report {input.report} --work work/{wildcards.dataset}"
        " --runs {params.runs} --output {output.results} > {log} 2>&1"


rule publish_collection:
    input:
        reports=collection_reports,
    output:
        results=directory("results/{collection}"),
    log:
        "logs/{collection}/publish.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    shell:
        "exec trigpoint report-collection --id {wildcards.collection}"
        " --reports {input.reports} --output {output.results} > {log} 2>&1"
